//! What calendars say as iCalendar (RFC 5545), for programs that show calendars.

use jiff::Timestamp as Instant;

use super::slot::{Slot, SlotState};
use super::spans::Span;
use crate::Timestamp;
use crate::digest::Digest;
use crate::views::CalendarView;

/// Bytes of a line, the end of it not counted (RFC 5545, 3.1).
const LINE_BYTES_MAX: usize = 75;

/// What is shown of something that has no length.
const MOMENT_MS: u64 = 15 * 60_000;

/// A feed of what is closed, asked for, planned and done, as of a time.
pub fn feed(view: &CalendarView, now: Timestamp) -> String {
    let mut feed = Feed { text: String::new(), now };
    feed.line("BEGIN:VCALENDAR");
    feed.line("VERSION:2.0");
    feed.line("PRODID:-//deployd.dev//deployd//EN");
    feed.line("METHOD:PUBLISH");
    let name = match &view.environment {
        Some(environment) => format!("Deployments of {environment}"),
        None => "Deployments".to_owned(),
    };
    feed.line(&format!("X-WR-CALNAME:{}", escaped(&name)));
    for closure in &view.closures {
        let summary = format!("Closed: {}", closure.reason);
        feed.event("closed", &summary, closure.span, "CONFIRMED");
    }
    for slot in &view.slots {
        let Slot { environment, by, reason, .. } = slot;
        let summary = format!("Slot of {environment} for {by}: {reason}");
        let status = if slot.state == SlotState::Granted { "CONFIRMED" } else { "TENTATIVE" };
        feed.event(&slot.id.0, &summary, slot.span, status);
    }
    for planned in &view.planned {
        // What waits until nobody knows when is at no place in a calendar.
        let Some(from) = planned.begins().filter(|at| view.span.contains(*at)) else { continue };
        let summary = format!("Planned: {} #{}", planned.environment, planned.number);
        let span = Span { from, to: from.plus_ms(MOMENT_MS) };
        feed.event(&planned.deployment.0, &summary, span, "TENTATIVE");
    }
    for done in &view.done {
        let outcome = done.outcome.as_str();
        let summary = format!("{} #{}: {outcome}", done.environment, done.number);
        let span = Span { from: done.from, to: done.to.max(done.from.plus_ms(1_000)) };
        feed.event(&done.deployment.0, &summary, span, "CONFIRMED");
    }
    feed.line("END:VCALENDAR");
    feed.text
}

struct Feed {
    text: String,
    now: Timestamp,
}

impl Feed {
    /// An event. The same one has the same name each time, so that programs change
    /// what they know of it.
    fn event(&mut self, name: &str, summary: &str, span: Span, status: &str) {
        let key = format!("{name} {summary} {}", span.from);
        let key = if name == "closed" { key } else { name.to_owned() };
        let now = utc(self.now);
        self.line("BEGIN:VEVENT");
        self.line(&format!("UID:{}@deployd.dev", Digest::of(key.as_bytes()).hex()));
        self.line(&format!("DTSTAMP:{now}"));
        self.line(&format!("DTSTART:{}", utc(span.from)));
        self.line(&format!("DTEND:{}", utc(span.to)));
        self.line(&format!("SUMMARY:{}", escaped(summary)));
        self.line(&format!("STATUS:{status}"));
        // Nobody is busy because of it.
        self.line("TRANSP:TRANSPARENT");
        self.line("END:VEVENT");
    }

    /// A line; a long one goes on behind a space in the next.
    fn line(&mut self, line: &str) {
        let mut bytes = 0;
        for char in line.chars() {
            if bytes + char.len_utf8() > LINE_BYTES_MAX {
                self.text.push_str("\r\n ");
                bytes = 1;
            }
            bytes += char.len_utf8();
            self.text.push(char);
        }
        self.text.push_str("\r\n");
    }
}

fn utc(at: Timestamp) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    let at = Instant::from_millisecond(ms).unwrap_or(Instant::MAX);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A text as a value (RFC 5545, 3.3.11).
fn escaped(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' | ';' | ',' => found.extend(['\\', char]),
            '\n' => found.push_str("\\n"),
            char if char.is_control() => {}
            char => found.push(char),
        }
    }
    found
}
