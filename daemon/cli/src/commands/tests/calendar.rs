//! When it may be deployed, asked and shown.

use serde_json::{Value, json};

use super::ran;
use crate::testing::{Answer, Daemon, record};

fn slot(state: &str) -> Value {
    json!({"id": "01m8", "environment": "shop/production", "from": "2026-12-08T05:00:00Z",
        "to": "2026-12-08T07:00:00Z", "reason": "new prices", "by": "ana",
        "at": "2026-12-01T00:00:00Z", "state": state})
}

fn december() -> Value {
    let freeze =
        json!({"kind": "freeze", "calendar": "holidays", "freeze": "christmas", "because": "rest"});
    let friday = json!({"kind": "window", "calendar": "week", "window": "no-fridays"});
    json!({
        "from": "2026-11-30T23:00:00Z", "to": "2026-12-31T23:00:00Z",
        "environment": "shop/production", "timeZone": "Europe/Berlin",
        "closures": [
            {"from": "2026-12-04T11:00:00Z", "to": "2026-12-07T07:00:00Z", "reason": friday},
            {"from": "2026-12-18T23:00:00Z", "to": "2027-01-07T07:00:00Z", "reason": freeze},
        ],
        "slots": [slot("granted")],
        "planned": [{"deployment": "b", "environment": "shop/production", "number": 8,
            "schedule": {"notBefore": "2026-12-08T05:00:00Z", "expires": "2026-12-08T07:00:00Z"}}],
        "done": [
            {"deployment": "a", "environment": "shop/production", "number": 6,
                "from": "2026-12-01T09:00:00Z", "to": "2026-12-01T09:02:00Z", "outcome": "succeeded"},
            {"deployment": "c", "environment": "shop/production", "number": 7,
                "from": "2026-12-01T10:00:00Z", "to": "2026-12-01T10:02:00Z", "outcome": "failed"},
        ],
    })
}

#[tokio::test]
async fn a_month_shows_what_is_closed_planned_and_done() {
    let daemon = Daemon::new([Answer::json(200, &december())]).await;
    let line =
        ["calendar", "-e", "shop/production", "--month", "2026-12", "--time-zone", "Europe/Berlin"];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    let asked = &daemon.lines()[0];
    assert!(asked.contains("from=2026-11-30T23%3A00%3A00.000Z"), "{asked}");
    assert!(asked.contains("to=2026-12-31T23%3A00%3A00.000Z"), "{asked}");
    let expected = "\
December 2026  shop/production, Europe/Berlin

Mo        Tu        We        Th        Fr        Sa        Su
           1 +1!1    2         3         4~        5#        6#
 7~        8 @1>1    9        10        11        12        13
14        15        16        17        18        19#       20#
21#       22#       23#       24#       25#       26#       27#
28#       29#       30#       31#

[..] today  # closed all day  ~ closed for a part of it  @slots  >planned  +succeeded  !not

closed
  2026-12-04 12:00 to 2026-12-07 08:00  window no-fridays of calendar week
  2026-12-19 00:00 to 2027-01-07 08:00  freeze christmas of calendar holidays: rest

slots
  2026-12-08 06:00 to 2026-12-08 08:00  shop/production, granted for ana: new prices (01m8)

planned
  2026-12-08 06:00  shop/production #8, not from 2026-12-08 08:00 on

done
  2026-12-01 10:02  shop/production #6  succeeded
  2026-12-01 11:02  shop/production #7  failed
";
    assert_eq!(done.out, expected);
}

#[tokio::test]
async fn who_asks_whether_it_is_open_is_told_by_the_exit_code() {
    let closed = json!({
        "environment": "shop/production", "at": "2026-12-24T17:00:00Z",
        "timeZone": "Europe/Berlin", "calendars": ["holidays"],
        "deployments": {"state": "closed", "until": "2027-01-07T07:00:00Z", "reasons": [
            {"kind": "freeze", "calendar": "holidays", "freeze": "christmas"}]},
        "rollbacks": {"state": "open"},
    });
    let daemon = Daemon::new([Answer::json(200, &closed), Answer::json(200, &closed)]).await;
    let check = ["calendar", "check", "shop/production"];
    let done = ran(&daemon, &check, "").await;
    assert_eq!(done.code, 18);
    assert!(
        done.out.starts_with(
            "shop/production is closed until 2027-01-07 08:00 (Europe/Berlin)\n  freeze christmas of calendar holidays\n"
        ),
        "{}",
        done.out
    );
    let done = ran(&daemon, &[&check[..], &["--rollback"]].concat(), "").await;
    assert_eq!((done.code, done.out.contains("is open for going back")), (0, true), "{}", done.out);
}

#[tokio::test]
async fn what_is_scheduled_is_asked_for_and_not_followed() {
    let daemon = Daemon::new([Answer::json(202, &record())]).await;
    let line = [
        "deploy",
        "shop/development",
        "--at",
        "2026-12-01T06:00+01:00",
        "--expires",
        "2026-12-01T08:00+01:00",
    ];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(daemon.lines(), ["POST /v1/deployments"]);
    let body: Value = daemon.seen()[0].json();
    assert_eq!(
        body["schedule"],
        json!({"notBefore": "2026-12-01T05:00:00.000Z", "expires": "2026-12-01T07:00:00.000Z"})
    );
}

#[tokio::test]
async fn a_slot_is_asked_for_answered_and_named() {
    let daemon = Daemon::new([
        Answer::json(201, &slot("requested")),
        Answer::json(200, &slot("granted")),
        Answer::json(200, &json!([slot("granted")])),
        Answer::json(202, &record()),
    ])
    .await;
    let request = "calendar slot request shop/production --from 2026-12-08T06:00+01:00 --for 2h -m";
    let request: Vec<&str> = request.split(' ').chain(["new prices"]).collect();
    let done = ran(&daemon, &request, "").await;
    let asked = "asked for: slot 01m8 of shop/production\n  2026-12-08 05:00 to 2026-12-08 07:00 (UTC): new prices\n";
    assert_eq!(done.out, asked);
    let done = ran(&daemon, &["calendar", "slot", "grant", "01m8"], "").await;
    assert_eq!(done.out, "slot 01m8 of shop/production granted\n", "{}", done.err);
    let done = ran(&daemon, &["calendar", "slot", "list", "--application", "shop"], "").await;
    assert!(done.out.contains("new prices"), "{}", done.out);
    let done = ran(&daemon, &["deploy", "shop/development", "--slot", "01m8"], "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(
        daemon.lines(),
        [
            "POST /v1/calendar/slots",
            "POST /v1/calendar/slots/01m8/grant",
            "GET /v1/calendar/slots?application=shop",
            "POST /v1/deployments",
        ]
    );
    let bodies: Vec<Value> = [0, 1, 3].map(|place: usize| daemon.seen()[place].json()).into();
    let wanted = json!({"environment": "shop/production", "from": "2026-12-08T05:00:00.000Z",
        "to": "2026-12-08T07:00:00.000Z", "reason": "new prices"});
    assert_eq!((&bodies[0], &bodies[1]), (&wanted, &json!({})));
    assert_eq!(bodies[2]["schedule"], json!({"slot": "01m8"}));
}
