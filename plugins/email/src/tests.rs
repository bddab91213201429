use super::*;
use deployd_plugin_sdk::testing::FakeHost;
use mail_parser::{Address, MessageParser};
use notices::testing::{event, for_all_texts};
use serde_json::{Value, json};

fn config(config: Value) -> Config {
    serde_json::from_value(config).unwrap()
}

fn sent(event: &Event) -> Result<HttpRequest, Fault> {
    let config = config(json!({"url": "smtp://mail.example.com:587",
        "from": "deployd@example.com", "to": ["shop@example.com", "ops@example.com"]}));
    let mut requests = Email::format(event, &config, &FakeHost::new())?;
    assert_eq!(requests.len(), 1);
    Ok(requests.remove(0))
}

#[test]
fn a_failure_is_a_mail() {
    let request = sent(&event("deployment.failed")).unwrap();
    assert_eq!(request.url, "smtp://mail.example.com:587");
    assert_eq!(
        request.headers,
        [
            ("mail-from".to_owned(), "deployd@example.com".to_owned()),
            ("mail-to".to_owned(), "shop@example.com, ops@example.com".to_owned()),
        ]
    );
    let mail = MessageParser::default().parse(&request.body).unwrap();
    assert_eq!(mail.subject(), Some("shop/production, deployment 7 has failed"));
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-11-22T10:00:00Z");
    assert_eq!(mail.to().and_then(Address::first).unwrap().address(), Some("shop@example.com"));
    assert_eq!(mail.message_id(), Some("environment.shop.production.42@example.com"));
    assert_eq!(mail.references().as_text(), Some("01JD0000000000000000000000@example.com"));
    assert_eq!(mail.in_reply_to().as_text(), Some("01JD0000000000000000000000@example.com"));
    let text = mail.body_text(0).unwrap();
    assert_eq!(
        text.replace("\r\n", "\n"),
        "shop/production, deployment 7 has failed.\n\n\
         web: the image can't be pulled: not found\n\n\
         Look whether the image exists under that name.\n\n\
         By: ada\nWhy: a new image\nImages: web 1.4.2 (0123456)\nFault: image-pull-failed\n\n\
         https://deployd.example.com/#deployment=01JD0000000000000000000000\n"
    );
    assert_eq!(sent(&event("deployment.failed")).unwrap().body, request.body, "the same bytes");
}

#[test]
fn what_is_no_address_is_refused() {
    for to in ["", "shop", "a@b@c", "a@b\r\nRCPT TO:<x@y>", "Shop <a@b>", "a@b, c@d", "ä@b"] {
        let config = config(json!({"from": "a@b", "to": ["a@b", to]}));
        let fault = Email::format(&event("deployment.failed"), &config, &FakeHost::new());
        let fault = fault.unwrap_err().to_string();
        assert!(fault.contains("/config/to/1"), "{to:?}: {fault}");
    }
    let config = config(json!({"from": "a@b", "to": []}));
    assert!(Email::format(&event("deployment.failed"), &config, &FakeHost::new()).is_err());
}

#[test]
fn whatever_others_write_is_no_header_and_is_read_as_it_was_written() {
    for_all_texts(|event, text| {
        let request = sent(event).map_err(|fault| fault.to_string())?;
        let wrong = |what: &str| format!("{what}: {text:?}: {:?}", request.body);
        if request.body.split(|byte| *byte == b'\n').any(|line| line.len() > 998) {
            return Err(wrong("a line is too long"));
        }
        let mail = MessageParser::default().parse(&request.body).ok_or_else(|| wrong("no mail"))?;
        let names: Vec<&str> = mail.headers().iter().map(|header| header.name()).collect();
        let names = names.join(" ").to_ascii_lowercase();
        let expected =
            ["from", "to", "subject", "date", "message-id", "mime-version", "content-type"];
        if names.split(' ').count() > 11 || !expected.iter().all(|name| names.contains(name)) {
            return Err(wrong(&names));
        }
        let notice = Notice::of(event).map_err(|fault| fault.to_string())?;
        let subject = mail.subject().unwrap_or_default();
        if !request.body.is_ascii() || subject != notice.title.replace('\n', " ") {
            return Err(wrong(subject));
        }
        let body = mail.body_text(0).ok_or_else(|| wrong("no text"))?.replace("\r\n", "\n");
        if body.trim_end() == super::text(&notice).replace("\r\n", "\n").trim_end() {
            Ok(())
        } else {
            Err(wrong(&body))
        }
    })
    .unwrap();
}
