//! What bad input gets: JSON with a code, or the end of the connection.

use std::io::{Read, Write};
use std::time::Duration;

use crate::server::{Answer, Server};

#[test] // G15
fn an_unknown_path_and_a_wrong_method_say_what_there_is() {
    let server = Server::local();
    for path in ["/nowhere", "/ice/", "//ice", "/v2/ice", "/../etc/passwd", "/%2e%2e/x", "/call.js"]
    {
        server.ask(&format!("GET {path}"), &[]).refuses(404, "not_found");
    }
    for (line, allow) in [
        ("PUT /ice", "GET, POST, OPTIONS"),
        ("DELETE /v1/ice", "GET, POST, OPTIONS"),
        ("TRACE /ice", "GET, POST, OPTIONS"),
        ("BREW /ice", "GET, POST, OPTIONS"),
        ("POST /healthz", "GET, HEAD, OPTIONS"),
        ("POST /", "GET, HEAD, OPTIONS"),
    ] {
        let answer = server.ask(line, &[("X-HTTP-Method-Override", "GET")]);
        answer.refuses(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{line}");
    }
    let head = server.ask("HEAD /ice", &[]);
    assert_eq!((head.status, head.body.as_str()), (405, ""));
    assert_eq!(server.ask("HEAD /healthz", &[]).status, 200);
    assert_eq!(server.ask("OPTIONS *", &[]).status, 200);
    assert!(server.ask("CONNECT localhost:22", &[]).status >= 400);
    assert!(server.issued.lock().unwrap().is_empty());
}

#[test] // G2
fn a_head_over_its_bound_is_431_and_one_within_it_passes() {
    let server = Server::local();
    let ask = |bytes: usize| server.ask("GET /ice", &[("X-Long", &"x".repeat(bytes))]);
    assert_eq!(ask(16 * 1024 - 200).status, 200);
    ask(16 * 1024).refuses(431, "head_too_large");
    assert_eq!(ask(100_000).status, 431);
    assert_eq!(server.ask(&format!("GET /ice?x={}", "x".repeat(16 * 1024)), &[]).status, 431);
    let many: Vec<(String, String)> =
        (0..2000).map(|n| (format!("X-{n}"), String::from("1"))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(server.ask("GET /ice", &many).status, 431);
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
}

#[test]
fn a_body_over_its_bound_is_413_and_one_within_it_is_read() {
    let server = Server::local();
    let json = [("Content-Type", "application/json")];
    let body = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2));
    assert_eq!(server.ask_with_body("POST /ice", &json, &body(4096)).status, 200);
    server.ask_with_body("POST /ice", &json, &body(4097)).refuses(413, "body_too_large");
    let huge = [("Content-Length", "99999999999")];
    server.ask("POST /ice", &huge).refuses(413, "body_too_large");
    server.ask("GET /ice", &huge).refuses(413, "body_too_large");
}

#[test]
fn who_sends_a_whole_large_body_before_reading_hears_why_it_is_refused() {
    let server = Server::local();
    for bytes in [100_000, 1 << 20] {
        let mut stream = server.connect();
        let head =
            format!("POST /ice HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // Not before it is all there: who still writes to a closed connection reads nothing.
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(stream.read(&mut [0]).is_err(), "answered too early");
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(" ".repeat(bytes).as_bytes()).unwrap();
        Answer::read(&mut stream).refuses(413, "body_too_large");
    }
    // Beyond that it is refused before it is sent, and so is what waits to be asked for.
    let beyond = [("Content-Length", "1048577")];
    server.ask("POST /ice", &beyond).refuses(413, "body_too_large");
    let asks = [("Content-Length", "4097"), ("Expect", "100-continue")];
    server.ask("POST /ice", &asks).refuses(413, "body_too_large");
}

#[test]
fn bytes_that_are_no_http_end_the_connection_and_nothing_else() {
    let server = Server::local();
    for garbage in [
        &b"\x00\x01\x00\x00\x21\x12\xa4\x42 a STUN header"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/3\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\xff\xfe\xfd\xfc\r\n\r\n",
        b"GET /ice HTTP/1.1\r\nHost: localhost\r\nBad Header : x\r\n\r\n",
        b"GET /ice HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = Answer::read(&mut stream);
        assert!([0, 400].contains(&answer.status), "{garbage:?}: {answer:?}");
    }
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
    assert_eq!(server.issued.lock().unwrap().len(), 1);
}

#[test] // G10
fn a_request_that_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_run() {
    let server = Server::local();
    const NEXT: &str = "GET /ice?user=smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        "POST /ice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "POST /ice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 4\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nContent-Length: +4\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4, 4\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n",
        "GET /ice HTTP/1.1\r\n",
        "GET /ice HTTP/1.1\nHost: localhost\n",
        "GET /ice HTTP/1.1\r\nHost: localhost\nX: a\r\n",
        "\nGET /ice HTTP/1.1\r\nHost: localhost\r\n",
        // A preflight is answered before anything is looked up, and is read like all.
        "OPTIONS /ice HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nAccess-Control-Request-Method: GET\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let answer = server.send(format!("{head}\r\n0\r\n\r\n{NEXT}").as_bytes());
        assert_eq!(answer.status, 400, "{head}: {answer:?}");
        assert!(!answer.body.contains("HTTP/1.1"), "{head}: {answer:?}");
    }
    assert!(server.issued.lock().unwrap().is_empty());
}

#[test] // G10
fn lines_that_end_in_a_bare_newline_and_endless_chunk_extensions_run_nothing_twice() {
    let server = Server::local();
    let next = "GET /ice?user=smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunked = format!(
        "POST /ice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0;{}\r\n\r\n{next}",
        "x".repeat(1_000_000)
    );
    assert!([0, 400].contains(&server.send(chunked.as_bytes()).status));
    // A header that ends in a bare newline hides no body from us that a proxy would see.
    let bare = "POST /ice HTTP/1.1\r\nHost: localhost\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(server.send(format!("{bare}{next}").as_bytes()).status, 400);
    // Nor does one behind a request that asks for another protocol and does not get it.
    let bare = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n\r\nPOST /ice HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX: a\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(server.send(bare.as_bytes()).status, 404);
    assert!(server.issued.lock().unwrap().is_empty(), "the second one was run");
    let bare = "POST /ice HTTP/1.1\nHost: localhost\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n";
    assert_eq!(server.send(format!("{bare}{next}").as_bytes()).status, 400);
    assert!(server.issued.lock().unwrap().is_empty());
}

#[test] // G2
fn a_head_of_a_megabyte_in_tiny_pieces_is_431_before_it_is_all_there() {
    let server = Server::local();
    for start in ["GET /ice HTTP/1.1\r\nHost: localhost\r\nX: ", "GET /"] {
        let mut stream = server.connect();
        stream.set_nodelay(true).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        // The server closes long before: then writing fails.
        let written = (0..1_000_000).take_while(|_| stream.write_all(b"x").is_ok()).count();
        assert!(written < 200_000, "{written}");
    }
    let blanks = format!("b{}x", " ".repeat(32_000));
    assert_eq!(server.ask("GET /ice", &[("Sec-WebSocket-Protocol", &blanks)]).status, 431);
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
}

#[test] // G15
fn no_method_but_the_one_in_the_request_line_counts() {
    let server = Server::local();
    for header in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let head = server.ask("HEAD /ice", &[(header, "POST")]);
        assert_eq!((head.status, head.body.as_str()), (405, ""));
        let answer = server.ask("OPTIONS /ice?_method=POST", &[(header, "POST")]);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        server.ask("TRACE /ice", &[(header, "GET")]).refuses(405, "method_not_allowed");
    }
    assert!(server.issued.lock().unwrap().is_empty());
}

#[test]
fn a_panic_costs_one_answer_and_nothing_more() {
    let server = Server::local();
    let health = server.health.clone();
    // The probe of this test server unwraps this lock.
    let poisoned = std::thread::spawn(move || {
        let _held = health.lock().unwrap();
        panic!("on purpose");
    });
    assert!(poisoned.join().is_err());
    let answer = server.ask("GET /healthz", &[]);
    let error = answer.refuses(500, "internal");
    assert!(!error.to_string().contains("Poison"), "{error}");
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
}

#[test]
fn the_page_is_served_whole_with_a_strict_policy_and_no_inline_script() {
    let server = Server::local();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/j/", "text/html; charset=utf-8"),
        ("/selftest/", "text/html; charset=utf-8"),
        ("/selftest/call.js", "text/javascript; charset=utf-8"),
        ("/selftest/style.css", "text/css; charset=utf-8"),
    ] {
        let answer = server.ask(&format!("GET {path}"), &[]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    for (path, script) in
        [("/", "/components.js"), ("/j/", "/components.js"), ("/selftest/", "\"call.js\"")]
    {
        let page = server.ask(&format!("GET {path}"), &[]).body;
        assert!(page.contains(script), "{page}");
        for inline in ["<style", " style=", " onclick=", "javascript:", "<script>", "{hash}"] {
            assert!(!page.contains(inline), "{inline} in {path}");
        }
    }
    for (path, location) in [("/j", "j/"), ("/selftest", "selftest/")] {
        let answer = server.ask(&format!("GET {path}"), &[]);
        assert_eq!((answer.status, answer.header("location")), (308, Some(location)));
    }
    assert_eq!(server.ask("GET /favicon.ico", &[]).status, 204);
}

#[test] // P21
fn every_origin_may_load_the_library_and_keeps_it_for_ever_under_its_hash() {
    let server = Server::local();
    let page = server.ask("GET /", &[]).body;
    let (_, rest) = page.split_once("client/").unwrap();
    let (hash, _) = rest.split_once('/').unwrap();
    let foreign = [("Origin", "https://shop.example")];
    for (path, cache) in [
        ("/client/turnbell.js".to_owned(), "no-cache"),
        (format!("/client/{hash}/turnbell.js"), "public, max-age=31536000, immutable"),
        (format!("/client/{hash}/components/tb-phone.js"), "public, max-age=31536000, immutable"),
    ] {
        let answer = server.ask(&format!("GET {path}"), &foreign);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some(cache));
        assert!(answer.body.contains("export"), "{path}");
        let tag = answer.header("etag").unwrap().to_owned();
        let again = server.ask(&format!("GET {path}"), &[("If-None-Match", &tag)]);
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        let newer = server.ask(&format!("GET {path}"), &[("If-None-Match", "\"other\"")]);
        assert_eq!(newer.status, 200);
    }
    // P22
    let schema = server.ask("GET /client/turnbell.v1.schema.json", &foreign);
    assert_eq!(schema.header("content-type"), Some("application/json"));
    assert_eq!(schema.header("access-control-allow-origin"), Some("*"));
    assert_eq!(schema.json()["title"], "turnbell.v1");
    for path in [
        "/client/",
        "/client/package.json",
        "/client/nothing.js",
        "/client/0000/turnbell.js",
        "/client/../index.html",
    ] {
        server.ask(&format!("GET {path}"), &[]).refuses(404, "not_found");
    }
    // What others serve is as closed to it as before.
    let config = server.ask("GET /v1/config", &foreign);
    assert_eq!(config.header("access-control-allow-origin"), None);
}
