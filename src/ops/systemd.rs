//! What the service manager is told. Without one (no `$NOTIFY_SOCKET`) all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells that start-up is over: every port is bound.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// Tells that the config is being read again; [`reloaded`] must follow.
pub fn reloading() {
    // systemd 253 wants the time of it; older ones pass over what they do not know.
    match NotifyState::monotonic_usec_now() {
        Ok(time) => send(&[NotifyState::Reloading, time]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload"),
    }
}

/// Tells that a reload is over, whatever came of it.
pub fn reloaded() {
    send(&[NotifyState::Ready]);
}

/// Tells that the daemon is stopping in order.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Shows a line in `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(&one_line(text))]);
}

/// Feeds the watchdog. Called only after every shard finished a turn since the last time (R22).
pub fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// How often the watchdog wants to be fed: a third of its timeout, so that one late feed costs
/// nothing. `None` if the service manager asks for none.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    interval_of(sd_notify::watchdog_enabled()?)
}

fn interval_of(timeout: Duration) -> Option<Duration> {
    let interval = timeout / 3;
    (!interval.is_zero()).then_some(interval)
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_three_times_per_timeout() {
        assert_eq!(interval_of(Duration::from_secs(30)), Some(Duration::from_secs(10)));
        assert_eq!(interval_of(Duration::from_nanos(2)), None);
    }

    #[test]
    fn a_status_cannot_smuggle_in_another_message() {
        assert_eq!(one_line("a\nREADY=1\r\n"), "a READY=1  ");
    }
}
