use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::{Name, Timestamp};
use serde_json::json;

use super::*;
use crate::testing::{Answer, Daemon};

fn dead(id: &str, subscription: &str) -> Message {
    let subscription: Name = subscription.parse().unwrap();
    let event = json!({"type": "deployment.failed"});
    let message = Message::new(MessageId(id.to_owned()), subscription, event, Timestamp(0));
    Message { status: MessageStatus::Dead, ..message }
}

#[tokio::test]
async fn dead_ones_to_a_subscription_are_delivered_again_page_by_page() {
    let daemon = Daemon::new([
        Answer::json(200, &[dead("msg_1", "chat"), dead("msg_2", "ci")]),
        Answer::json(202, &dead("msg_1", "chat")),
        Answer::json(200, &[dead("msg_3", "chat")]),
        Answer::json(202, &dead("msg_3", "chat")),
        Answer::json(200, &json!([])),
    ])
    .await;
    let asked = ["notifications", "redeliver", "--dead", "--subscription", "chat"];
    let ran = ran(&daemon, &asked, "").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "2 notifications are delivered again\n"));
    assert_eq!(
        daemon.lines(),
        [
            "GET /v1/notifications?status=dead&limit=500",
            "POST /v1/notifications/msg_1/redeliver",
            "GET /v1/notifications?status=dead&after=msg_2&limit=500",
            "POST /v1/notifications/msg_3/redeliver",
            "GET /v1/notifications?status=dead&after=msg_3&limit=500",
        ]
    );
}
