//! Texts of events that many sessions are told at once: each is written once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::event::Event;
use crate::limits::ws::SHARED_TEXTS_MAX;

/// The last few, by the event itself. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedTexts(Arc<Mutex<Texts>>);

/// Of each event, what was made of it.
type Texts = VecDeque<(Arc<Event>, Arc<str>)>;

impl SharedTexts {
    /// What `write` makes of the event, or has made of it for somebody else. `None` if the event
    /// is for one session alone, which costs no look at the others'.
    pub(super) fn text(
        &self,
        event: &Arc<Event>,
        write: impl FnOnce(&Event) -> String,
    ) -> Option<Arc<str>> {
        // A session's own one is held by its message and by what is kept for a resume.
        if Arc::strong_count(event) <= 2 {
            return None;
        }
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = texts.iter().find(|(known, _)| Arc::ptr_eq(known, event)) {
            return Some(Arc::clone(text));
        }
        let text: Arc<str> = write(event).into();
        if texts.len() >= SHARED_TEXTS_MAX {
            texts.pop_front();
        }
        texts.push_back((Arc::clone(event), Arc::clone(&text)));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_are_told_is_written_once_and_forgotten_after_a_few_others() {
        let texts = SharedTexts::default();
        let events: Vec<Arc<Event>> =
            (0..=SHARED_TEXTS_MAX).map(|_| Arc::new(Event::Void)).collect();
        let others: Vec<Arc<Event>> = [&events[..], &events[..]].concat();
        let mut written = 0;
        let mut ask = |event: &Arc<Event>| {
            texts.text(event, |_| {
                written += 1;
                written.to_string()
            })
        };
        assert_eq!(ask(&events[0]).as_deref(), Some("1"));
        assert_eq!(ask(&others[0]).as_deref(), Some("1"));
        for event in &events[1..] {
            ask(event);
        }
        assert_eq!(ask(&events[0]).as_deref(), Some("6"), "it was forgotten");
        let own = Arc::new(Event::Void);
        let kept = Arc::clone(&own);
        assert_eq!(ask(&kept), None, "nobody else is told");
    }
}
