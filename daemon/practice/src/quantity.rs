//! Quantities: `500m`, `1.5Gi`, `2`.

use serde_json::Value;

/// A quantity in thousandths, which is as fine as quotas count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Quantity(i128);

const SUFFIXES: [(&str, i128); 14] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("m", 0),
    ("", 1),
];

impl Quantity {
    /// A whole number.
    pub(crate) fn whole(count: i64) -> Self {
        Self(i128::from(count) * 1000)
    }

    /// Reads a quantity from a JSON text or number.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Reads a quantity.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse::<i64>() {
            return Some(Self::whole(number));
        }
        let (digits, unit) =
            SUFFIXES.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, digits.strip_prefix('+').unwrap_or(digits)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty())
            || !is_number(whole)
            || !is_number(fraction)
            || digits.len() > 18
        {
            return None;
        }
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let number = format!("{whole}{fraction}").parse::<i128>().ok()?;
        let thousandths = if unit == 0 { 1 } else { unit.checked_mul(1000)? };
        let exact = number.checked_mul(thousandths)?;
        // Rounded up, as the API does.
        Some(Self(sign * ((exact + scale - 1) / scale)))
    }

    /// The sum of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The quantity, written in the way of another of its kind.
    pub(crate) fn shown_like(self, example: &str) -> String {
        if self.0 % 1000 != 0 {
            return format!("{}m", self.0);
        }
        let whole = self.0 / 1000;
        if whole != 0 && example.ends_with('i') {
            for (suffix, unit) in SUFFIXES.iter().rev().filter(|(s, _)| s.ends_with('i')) {
                if whole % unit == 0 {
                    return format!("{}{suffix}", whole / unit);
                }
            }
        }
        whole.to_string()
    }
}

/// A quantity as the API writes it: without a fraction, with the largest unit
/// of its kind; none where the text is not a quantity this reads exactly.
pub(crate) fn canonical(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let thousandths = Quantity::parse(&text)?.0;
    // Finer than thousandths, or with an exponent: left as it was written.
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    if fraction.bytes().filter(u8::is_ascii_digit).count() > 3 && !text.ends_with('i') {
        return None;
    }
    if thousandths % 1000 != 0 {
        return Some(format!("{thousandths}m"));
    }
    let whole = thousandths / 1000;
    let is_binary = text.ends_with('i');
    let unit = SUFFIXES
        .iter()
        .filter(|(suffix, unit)| suffix.ends_with('i') == is_binary && *unit > 1)
        .filter(|(_, unit)| whole != 0 && whole % unit == 0)
        .max_by_key(|(_, unit)| *unit);
    Some(match unit {
        Some((suffix, unit)) => format!("{}{suffix}", whole / unit),
        None => whole.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_one_form() {
        for (value, shown) in [
            (Value::from("1000m"), "1"),
            (Value::from("0.5"), "500m"),
            (Value::from("1.5"), "1500m"),
            (Value::from(2), "2"),
            (Value::from("1024Mi"), "1Gi"),
            (Value::from("1.5Gi"), "1536Mi"),
            (Value::from("1000"), "1k"),
            (Value::from("1500M"), "1500M"),
            (Value::from("0"), "0"),
            (Value::from("0Gi"), "0"),
        ] {
            assert_eq!(canonical(&value).as_deref(), Some(shown), "{value}");
        }
    }

    #[test]
    fn quantities_read_and_write() {
        for (text, shown) in [
            ("500m", "500m"),
            ("1.5", "1500m"),
            ("2", "2"),
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1500m", "1500m"),
            ("2000m", "2"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().shown_like(text), shown, "{text}");
        }
        for text in ["", "x", "1x", "1.2.3", "--1", "Gi"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
