//! What a plain scalar means: the core schema of YAML 1.2 (section 10.3.2).
//!
//! `yes`, `on` and `012` are what they are in YAML 1.2: two strings and the
//! number 12. What stands in quotes is always a string.

use serde_json::{Number, Value};

/// Why a scalar can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// JSON has no infinity and no "not a number".
    NotFinite,
    /// It does not fit into 64 bits.
    TooLarge,
}

/// The meaning of a plain scalar.
pub(crate) fn plain(text: &str) -> Result<Value, Unfit> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    // Nothing else begins like a number.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(Value::String(text.to_owned()));
    }
    let (negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(unsigned) => (text.starts_with('-'), unsigned),
        None => (false, text),
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(Unfit::NotFinite);
    }
    if is_digits(unsigned) {
        return integer(negative, unsigned, 10);
    }
    // Only numbers to base ten have a sign in the core schema.
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(radix))
        {
            return integer(false, digits, radix);
        }
    }
    if is_decimal(unsigned) {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let number = number.and_then(Number::from_f64).ok_or(Unfit::TooLarge)?;
        return Ok(Value::Number(number));
    }
    Ok(Value::String(text.to_owned()))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer(negative: bool, digits: &str, radix: u32) -> Result<Value, Unfit> {
    let magnitude = u64::from_str_radix(digits, radix).map_err(|_| Unfit::TooLarge)?;
    if negative {
        let number = 0_i64.checked_sub_unsigned(magnitude).ok_or(Unfit::TooLarge)?;
        return Ok(Value::from(number));
    }
    Ok(Value::from(magnitude))
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(unsigned: &str) -> bool {
    let mantissa = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            if !is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) {
                return false;
            }
            mantissa
        }
        None => unsigned,
    };
    match mantissa.split_once('.') {
        Some(("", fraction)) => is_digits(fraction),
        Some((whole, fraction)) => is_digits(whole) && (fraction.is_empty() || is_digits(fraction)),
        None => is_digits(mantissa),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_core_schema() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("null", json!(null)),
            ("nULL", json!("nULL")),
            ("True", json!(true)),
            ("FALSE", json!(false)),
            ("yes", json!("yes")),
            ("on", json!("on")),
            ("0", json!(0)),
            ("012", json!(12)),
            ("+12", json!(12)),
            ("-19", json!(-19)),
            ("-0", json!(0)),
            ("0o14", json!(12)),
            ("0xC", json!(12)),
            ("-0xC", json!("-0xC")),
            ("0o", json!("0o")),
            ("1.5", json!(1.5)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("12e03", json!(12000.0)),
            ("-2E+05", json!(-200_000.0)),
            ("1e", json!("1e")),
            (".", json!(".")),
            ("+", json!("+")),
            ("-", json!("-")),
            ("1_000", json!("1_000")),
            ("1.2.3", json!("1.2.3")),
            ("2026-07-01", json!("2026-07-01")),
            ("190:20:30", json!("190:20:30")),
            ("infinity", json!("infinity")),
            ("nan", json!("nan")),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("0.0", json!(0.0)),
            ("/dev/null", json!("/dev/null")),
        ] {
            assert_eq!(plain(text), Ok(expected), "{text}");
        }
        assert_eq!(plain("18446744073709551616"), Err(Unfit::TooLarge));
        assert_eq!(plain("-9223372036854775809"), Err(Unfit::TooLarge));
        assert_eq!(plain("1e999"), Err(Unfit::TooLarge));
        assert_eq!(plain("-.inf"), Err(Unfit::NotFinite));
        assert_eq!(plain(".NaN"), Err(Unfit::NotFinite));
    }
}
