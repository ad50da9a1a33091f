//! What both sides saw of a URL, in words.

use super::{CallSaw, ServerSaw, UrlSeen};

/// What both sides saw, in one line.
pub(super) fn told(url: &UrlSeen) -> String {
    let page = &url.page;
    let mut words: Vec<String> = Vec::new();
    words.extend(page.mapped.map(|mapped| format!("the browser is seen as {mapped}")));
    words.extend(page.relayed.map(|relayed| format!("the browser got the relay {relayed}")));
    words.extend(page.errors.iter().map(|(code, text)| format!("the browser says {code} {text}")));
    if let Some(CallSaw { is_connected: true, rtt_ms, sent, received, kbit_s }) = page.call {
        words.push(format!("{received} of {sent} messages arrived"));
        words.extend(rtt_ms.map(|rtt| format!("round trip {rtt} ms")));
        words.extend(kbit_s.map(|rate| format!("{rate} kbit/s")));
    }
    match &url.server {
        None => {}
        Some(server) if !server.anything() => words.push("no packet came to the server".to_owned()),
        Some(server) => words.extend(server.told()),
    }
    words.join("; ")
}

impl ServerSaw {
    fn told(&self) -> Vec<String> {
        let counts = [
            (self.connections, "connections"),
            (self.bindings, "Bindings answered"),
            (self.challenges, "first requests answered 401"),
            (self.opened, "allocations made"),
            (self.unanswered, "requests without an answer"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut words: Vec<String> =
            counts.map(|(count, what)| format!("the server: {count} {what}")).collect();
        words.extend(self.connection_fault.as_ref().map(|fault| format!("the server: {fault}")));
        words.extend(self.not_authenticated.map(|cause| format!("the server: refused, {cause}")));
        words.extend(self.refused.map(|code| format!("the server: refused with {code}")));
        if self.packets > 0 {
            words.push(format!("the server: {} packets relayed", self.packets));
        }
        words
    }
}
