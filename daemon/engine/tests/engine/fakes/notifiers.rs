//! Notifiers: `webhook` posts the event as it is, to the configured address; `chat`
//! makes a thread for each deployment, and then says what happens in it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Call, NotifierRequest, Notifiers, PluginRef, Telling, TellingStep};
use serde_json::{Value, json};

use super::Instance;

#[async_trait]
impl Notifiers for Instance {
    async fn format(
        &self,
        _call: Call<'_>,
        event: &Value,
        config: &Value,
    ) -> Result<Vec<NotifierRequest>, Fault> {
        self.look("format", async { Ok::<(), Fault>(()) }).await?;
        if config.get("fails").is_some() {
            return Err(Fault::bug("trap", "the notifier has trapped"));
        }
        Ok(vec![NotifierRequest {
            method: "POST".to_owned(),
            url: config["url"].as_str().unwrap().to_owned(),
            // What a plugin says of ids is not what counts.
            headers: BTreeMap::from([("Webhook-Id".to_owned(), "mine".to_owned())]),
            body: serde_json::to_vec(event).unwrap(),
            thread: None,
        }])
    }

    fn reads_answers(&self, plugin: &PluginRef) -> bool {
        plugin.name == "chat"
    }

    async fn tell(&self, _: Call<'_>, telling: &Telling<'_>) -> Result<TellingStep, Fault> {
        self.look("tell", async { Ok::<(), Fault>(()) }).await?;
        let url = telling.config["url"].as_str().unwrap().to_owned();
        let asks_for_ever = telling.config.get("asksForEver").is_some();
        let mut memory = telling.memory.cloned();
        if let Some(answer) = telling.answer {
            if answer.status != 200 {
                return Err(Fault::transient("busy", format!("chat answers {}", answer.status)));
            }
            if memory.is_some() && !asks_for_ever {
                return Ok(TellingStep { send: None, memory });
            }
            memory = Some(serde_json::from_slice(&answer.body).unwrap());
        }
        let (url, body) = match &memory {
            None => (url, json!({"begins": telling.event["data"]["deployment"]})),
            Some(thread) => (format!("{url}/{}", thread["id"]), telling.event.clone()),
        };
        let send = Some(NotifierRequest {
            method: "POST".to_owned(),
            url,
            headers: BTreeMap::new(),
            body: body.to_string().into_bytes(),
            thread: None,
        });
        Ok(TellingStep { send, memory })
    }
}
