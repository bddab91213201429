//! Times and texts as people read them.

use deployd_core::Timestamp;

/// A text of somebody else, without what would do something to a terminal.
pub fn clean(text: &str) -> String {
    let is_wild = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_wild) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_wild(c) { '\u{fffd}' } else { c }).collect()
}

/// So many of something: `1 file`, `2 files`.
pub fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// How long ago something was: `3 min ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        let ahead = at.ms_since(now);
        // Clocks differ a little.
        return if ahead < 2_000 { "now".to_owned() } else { format!("in {}", roughly(ahead)) };
    }
    match now.ms_since(at) {
        ms if ms < 2_000 => "now".to_owned(),
        ms => format!("{} ago", roughly(ms)),
    }
}

/// In the one unit that says enough: `3 min`.
pub fn roughly(ms: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (365 * 86_400_000, "y"),
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1_000, "s"),
    ];
    let unit = UNITS.iter().find(|(size, _)| ms >= *size);
    match unit {
        Some((size, name)) => format!("{} {name}", ms / size),
        None => "0 s".to_owned(),
    }
}

/// How long something took: `0.4s`, `12s`, `3m05s`, `2h07m`.
pub fn lasted(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, ms % 1_000 / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// A measured number with as many places as people read: `0.025`, `12.3`, `4711`.
pub fn number(value: f64) -> String {
    let places = match value.abs() {
        ..0.001 if value != 0.0 => return format!("{value:.1e}"),
        ..10.0 => 3,
        ..1000.0 => 1,
        ..1e9 => 0,
        _ if value.is_finite() => return format!("{value:.1e}"),
        _ => return value.to_string(),
    };
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// An image with its digest shortened, for tables.
pub fn short(image: &str) -> String {
    const PREFIX: &str = "sha256:";
    const SHOWN: usize = 12;
    match image.split_once(PREFIX) {
        Some((name, hex)) if hex.len() > SHOWN && hex.is_ascii() => {
            format!("{name}{PREFIX}{}", hex.get(..SHOWN).unwrap_or(hex))
        }
        _ => image.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now = Timestamp(10_000_000_000);
        for (before_ms, expected) in [
            (0, "now"),
            (1_999, "now"),
            (2_000, "2 s ago"),
            (60_000, "1 min ago"),
            (3_600_000 * 23, "23 h ago"),
            (86_400_000 * 3, "3 d ago"),
        ] {
            assert_eq!(ago(Timestamp(now.0 - before_ms), now), expected);
        }
        assert_eq!(ago(now.plus_ms(61_000), now), "in 1 min");
        assert_eq!(ago(now.plus_ms(500), now), "now");
        for (ms, expected) in [
            (0, "0.0s"),
            (449, "0.4s"),
            (9_999, "9.9s"),
            (10_000, "10s"),
            (185_000, "3m05s"),
            (7_620_000, "2h07m"),
        ] {
            assert_eq!(lasted(ms), expected);
        }
    }

    #[test]
    fn numbers() {
        for (value, expected) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (-0.0254, "-0.025"),
            (12.0, "12"),
            (12.34, "12.3"),
            (4711.2, "4711"),
            (0.000_012, "1.2e-5"),
            (1.5e12, "1.5e12"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn texts() {
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".into(), "0 files".into()));
        assert_eq!(clean("a\tb\nc"), "a\tb\nc");
        assert_eq!(clean("\u{1b}[31mred\u{7}"), "\u{fffd}[31mred\u{fffd}");
        let digest = deployd_core::Digest::of(b"x").to_string();
        assert_eq!(short(&format!("r.test/web@{digest}")).len(), "r.test/web@sha256:".len() + 12);
        assert_eq!(short("r.test/web:1"), "r.test/web:1");
    }
}
