//! tmp
fn main() {
    turnbell::ops::log::start(tracing::Level::INFO);
    let config = turnbell::config::Config::find(None).unwrap();
    let d = turnbell::daemon::Daemon::start(config).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(1)
    });
    eprintln!("{:?}", d.opened());
    d.wait().unwrap();
    d.stop().unwrap();
}
