use super::*;
use deployd_plugin_sdk::testing::FakeHost;
use notices::testing::{event, for_all_texts};

fn posted(event: &Event) -> Result<(String, Value), Fault> {
    let config = Config { url: Some("https://example.logic.azure.com/w?sig=x".to_owned()) };
    let requests = Teams::format(event, &config, &FakeHost::new())?;
    let [request] = &requests[..] else { panic!("one request: {requests:?}") };
    Ok((request.url.clone(), serde_json::from_slice(&request.body).unwrap()))
}

#[test]
fn a_failure_is_a_card() {
    let (url, message) = posted(&event("deployment.failed")).unwrap();
    assert_eq!(url, "https://example.logic.azure.com/w?sig=x");
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            {"type": "TextBlock", "text": "shop/production, deployment 7 has failed",
                "weight": "Bolder", "size": "Medium", "color": "Attention", "wrap": true},
            {"type": "TextBlock", "wrap": true,
                "text": "web: the image can't be pulled: not found"},
            {"type": "TextBlock", "wrap": true,
                "text": "Look whether the image exists under that name."},
            {"type": "FactSet", "facts": [
                {"title": "By", "value": "ada"},
                {"title": "Why", "value": "a new image"},
                {"title": "Images", "value": "web 1.4.2 \\(0123456\\)"},
                {"title": "Fault", "value": "image-pull-failed"},
            ]},
        ],
        "actions": [{"type": "Action.OpenUrl", "title": "Look at it",
            "url": "https://deployd.example.com/#deployment=01JD0000000000000000000000"}],
    });
    assert_eq!(message["type"], "message");
    assert_eq!(
        message["attachments"][0],
        json!({
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        })
    );
}

#[test]
fn without_a_url_the_host_knows_the_address() {
    let config = Config { url: None };
    let requests = Teams::format(&event("drift.found"), &config, &FakeHost::new()).unwrap();
    assert_eq!(requests[0].url, "");
}

#[test]
fn whatever_others_write_is_no_markdown() {
    for_all_texts(|event, text| {
        let (_, message) = posted(event).map_err(|fault| fault.to_string())?;
        let shown = message.to_string();
        // What would be a link, a mention or bold text.
        let is_markup = ["](", "<at>", "**"].iter().any(|markup| shown.contains(markup));
        let is_too_long = shown.len() > 28 * 1024;
        if is_markup || is_too_long { Err(format!("{text:?}: {shown}")) } else { Ok(()) }
    })
    .unwrap();
}
