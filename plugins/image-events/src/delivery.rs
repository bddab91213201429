//! Reading deliveries.

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::Delivery;
use serde::de::DeserializeOwned;

/// A form, which forges send where they were told to.
const FORM: &str = "application/x-www-form-urlencoded";

/// The body as a document.
///
/// # Errors
/// A fault with the place of what does not fit, `/body/…`. Of a body that is a form,
/// it says what to change at the sender.
pub fn body<T: DeserializeOwned>(delivery: &Delivery) -> Result<T, Fault> {
    match delivery.header("content-type") {
        Some(kind) if kind.trim().to_ascii_lowercase().starts_with(FORM) => Err(Fault::invalid(
            "/headers/content-type",
            format!("found {FORM}, expected application/json: choose that in the webhook"),
        )),
        _ => delivery.json(),
    }
}

/// A header that says what a delivery is about.
///
/// # Errors
/// A fault if it is not there: then the delivery is of another sender.
pub fn header<'a>(delivery: &'a Delivery, name: &str) -> Result<&'a str, Fault> {
    delivery.header(name).ok_or_else(|| {
        Fault::invalid(
            format!("/headers/{name}"),
            "is missing, expected what the delivery is about: is this webhook of another kind of sender?",
        )
    })
}

/// Whether a text is of one of the patterns: equal to it, or beginning with what is
/// before the `*` at its end. Without patterns, all are.
pub fn wanted(patterns: Option<&[String]>, text: &str) -> bool {
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => text == pattern,
    };
    patterns.is_none_or(|patterns| patterns.iter().any(matches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_form_is_refused_with_what_to_do() {
        let delivery = Delivery {
            headers: vec![("content-type".to_owned(), format!("{FORM}; charset=utf-8"))],
            body: b"payload=%7B%7D".to_vec(),
        };
        let fault = body::<Value>(&delivery).unwrap_err().to_string();
        assert!(fault.contains("choose that in the webhook"), "{fault}");
        assert!(header(&delivery, "x-event").unwrap_err().to_string().contains("x-event"));
    }

    #[test]
    fn patterns_are_texts_or_prefixes() {
        let patterns = ["refs/heads/main".to_owned(), "refs/tags/v*".to_owned()];
        let is = |text| wanted(Some(&patterns), text);
        assert!(is("refs/heads/main") && is("refs/tags/v1.4"));
        assert!(!is("refs/heads/main2") && !is("refs/tags/1.4"));
        assert!(wanted(None, "anything") && !wanted(Some(&[]), "anything"));
    }
}
