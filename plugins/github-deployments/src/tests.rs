use super::*;
use deployd_plugin_sdk::testing::FakeHost;
use notices::testing::{TYPES, event, for_all_texts};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// GitHub, as far as it is of interest.
#[derive(Default)]
struct Github {
    asked: Vec<(String, Value)>,
    script: Vec<(u16, Value)>,
}

impl Github {
    fn answers(&mut self, request: &HttpRequest) -> Answer {
        assert_eq!(request.method, "POST");
        let path = request.url.strip_prefix("https://api.github.com/repos/acme/shop/").unwrap();
        self.asked.push((path.to_owned(), serde_json::from_slice(&request.body).unwrap()));
        let (status, said) = match self.script.is_empty() {
            true => (201, json!({"id": 77, "state": "x"})),
            false => self.script.remove(0),
        };
        Answer { status, retry_after: None, body: said.to_string().into_bytes() }
    }

    fn told(&mut self, event: &Event, memory: &mut Option<Memory>) -> Result<(), Fault> {
        let mut answer = None;
        for _ in 0..4 {
            let config = json!({"repository": "acme/shop", "production": true,
                "environment_url": "https://shop.example.com"});
            let telling = Telling {
                event: event.clone(),
                config: serde_json::from_value(config).unwrap(),
                memory: memory.clone(),
                answer,
            };
            let step = GithubDeployments::tell(telling, &FakeHost::new())?;
            *memory = step.memory;
            let Some(request) = step.send else { return Ok(()) };
            answer = Some(self.answers(&request));
        }
        panic!("four requests of one event");
    }
}

#[test]
fn a_deployment_is_made_once_and_each_event_is_a_status_of_it() {
    let (mut github, mut memory) = (Github::default(), None);
    for event_type in ["deployment.queued", "deployment.started", "deployment.failed"] {
        github.told(&event(event_type), &mut memory).unwrap();
    }
    let paths: Vec<&str> = github.asked.iter().map(|(path, _)| path.as_str()).collect();
    let statuses = "deployments/77/statuses";
    assert_eq!(paths, ["deployments", statuses, statuses, statuses]);
    let link = "https://deployd.example.com/#deployment=01JD0000000000000000000000";
    assert_eq!(
        github.asked[0].1,
        json!({
            "ref": COMMIT,
            "environment": "production",
            "description": "shop/production, deployment 7",
            "task": "deploy",
            "payload": {"deployment": "01JD0000000000000000000000", "link": link},
            "auto_merge": false,
            "required_contexts": [],
            "production_environment": true,
        })
    );
    assert_eq!(github.asked[1].1["state"], "queued");
    assert_eq!(
        github.asked[3].1,
        json!({
            "state": "failure",
            "description": "web: the image can't be pulled: not found",
            "auto_inactive": true,
            "log_url": link,
            "environment_url": "https://shop.example.com",
        })
    );
}

#[test]
fn what_was_made_is_not_made_again_when_only_its_status_has_failed() {
    let (mut github, mut memory) = (Github::default(), None);
    github.script = vec![(201, json!({"id": 5})), (502, json!("bad gateway"))];
    let queued = event("deployment.queued");
    assert!(matches!(github.told(&queued, &mut memory), Err(Fault::Unavailable { .. })));
    github.told(&queued, &mut memory).unwrap();
    let paths: Vec<&str> = github.asked.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["deployments", "deployments/5/statuses", "deployments/5/statuses"]);
}

#[test]
fn what_is_none_of_githubs_business_is_not_told() {
    let mut github = Github::default();
    for event_type in TYPES.iter().filter(|name| !name.starts_with("deployment.")) {
        github.told(&event(event_type), &mut None).unwrap();
    }
    let mut unknown = event("deployment.succeeded");
    unknown.images[0].commit = None;
    github.told(&unknown, &mut None).unwrap();
    assert!(github.asked.is_empty());
}

#[test]
fn each_end_of_a_deployment_has_a_state() {
    for event_type in TYPES.iter().filter(|name| name.starts_with("deployment.")) {
        assert!(state(event_type).is_some(), "{event_type}");
    }
}

#[test]
fn refusals_say_what_to_do() {
    for (status, text) in [(403, "deployments: write"), (404, "not there"), (422, "422")] {
        let script = vec![(status, json!({"message": "No"}))];
        let mut github = Github { script, ..Github::default() };
        let fault = github.told(&event("deployment.queued"), &mut None).unwrap_err();
        assert!(!matches!(fault, Fault::Unavailable { .. }), "{fault}");
        assert!(fault.to_string().contains(text), "{fault}");
    }
}

#[test]
fn descriptions_fit_whatever_others_write() {
    for_all_texts(|event, text| {
        let mut github = Github::default();
        github.told(event, &mut None).map_err(|fault| fault.to_string())?;
        for (path, body) in &github.asked {
            if body["description"].as_str().is_none_or(|short| short.chars().count() > 140) {
                return Err(format!("{text:?}: {path} {body}"));
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_told_together_is_refused() {
    let (mut github, mut memory) = (Github::default(), None);
    let fault = github.told(&event(notices::GROUP), &mut memory).unwrap_err();
    assert!(fault.to_string().contains("without `group`"), "{fault}");
    assert!(github.asked.is_empty());
}
