//! Drafts: prepared, shared, deployed or dropped.

use deployd_core::draft::{Draft, DraftDeployment, DraftEdit, NewDraft};
use deployd_core::set::Delta;

use super::selection::from_file;
use super::{Context, plan_text};
use crate::args::{DraftCommand, DraftIdArgs, DraftListArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, ago, clean, counted, short};

pub(super) async fn draft(
    context: &mut Context<'_>,
    command: DraftCommand,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let draft = match command {
        DraftCommand::Create(args) => {
            let delta = match &args.delta {
                Some(file) => from_file(context, file)?,
                None => Delta::default(),
            };
            let (environment, title) = (args.environment, args.title);
            client.create_draft(&NewDraft { environment, title, delta }).await?
        }
        DraftCommand::Edit(args) => {
            let delta = from_file(context, &args.delta)?;
            let edit = DraftEdit { version: args.version, delta };
            client.edit_draft(&args.id, &edit).await?
        }
        DraftCommand::Drop(DraftIdArgs { id }) => {
            let dropped = client.drop_draft(&id).await?;
            context.output.note(format!("draft {id} is dropped"))?;
            if !context.output.is_human() {
                context.output.document(&dropped)?;
            }
            return Ok(exit::OK);
        }
        DraftCommand::Deploy(args) => {
            let how = DraftDeployment {
                version: args.version,
                comment: args.comment,
                expected_plan: args.expect_plan,
                confirm_replace: args.confirm_replace,
            };
            if args.dry_run {
                let view = client.plan_draft(&args.id, &how).await?;
                if context.output.is_human() {
                    let does = format!("deployd draft deploy {}", args.id);
                    plan_text::show(context.output, &view, false, &does)?;
                } else {
                    context.output.document(&view)?;
                }
                return Ok(exit::OK);
            }
            let record = client.deploy_draft(&args.id, &how).await?;
            return super::deploy::accepted(context, &client, record, args.watching.wanted()).await;
        }
        DraftCommand::List(DraftListArgs { application }) => {
            let drafts = client.drafts(&application).await?;
            list(context.output, &drafts)?;
            return Ok(exit::OK);
        }
        DraftCommand::Show(DraftIdArgs { id }) => {
            let draft = client.draft(&id).await?;
            show(context.output, &draft)?;
            let now = client.environment(&draft.environment).await?.state.deployed;
            if let Some(now) = now.filter(|now| now.set != draft.base) {
                context.output.note(format!(
                    "edited last when {} ran there; now it is {}: `deployd draft deploy {id} --dry-run` shows what it would do",
                    short(&draft.base.to_string()),
                    short(&now.set.to_string())
                ))?;
            }
            return Ok(exit::OK);
        }
    };
    if context.output.is_human() {
        context.output.line(&draft.id)?;
        context.output.note(format!(
            "draft for {}, version {}: `deployd draft deploy {}` deploys it",
            draft.environment, draft.version, draft.id
        ))?;
    } else {
        context.output.document(&draft)?;
    }
    Ok(exit::OK)
}

fn list(output: &mut Output, drafts: &[Draft]) -> Result<(), CliError> {
    if !output.is_human() {
        return output.document(&drafts);
    }
    if drafts.is_empty() {
        return output.note("There are no drafts.");
    }
    let mut table = Table::new(["draft", "for", "version", "changes", "by", "when", "title"]);
    for draft in drafts {
        let last = draft.changes.last();
        table.row([
            draft.id.clone(),
            draft.environment.to_string(),
            draft.version.to_string(),
            changed(draft),
            last.map(|change| change.actor.to_string()).unwrap_or_default(),
            last.map(|change| ago(change.at, output.now)).unwrap_or_default(),
            draft.title.clone().unwrap_or_default(),
        ]);
    }
    output.table(&table)
}

/// `2 workloads, 1 resource`.
fn changed(draft: &Draft) -> String {
    let (workloads, resources) = (&draft.delta.workloads, &draft.delta.resources);
    let count = |a: usize, b: usize, c: usize| a.saturating_add(b).saturating_add(c) as u64;
    let workloads = count(workloads.add.len(), workloads.remove.len(), workloads.update.len());
    let resources = count(resources.add.len(), resources.remove.len(), resources.update.len());
    match (workloads, resources) {
        (0, 0) => "nothing yet".to_owned(),
        (workloads, 0) => counted(workloads, "workload"),
        (0, resources) => counted(resources, "resource"),
        (workloads, resources) => {
            format!("{}, {}", counted(workloads, "workload"), counted(resources, "resource"))
        }
    }
}

/// The delta is the result, so that it can be edited and given back; the rest
/// stands beside it.
fn show(output: &mut Output, draft: &Draft) -> Result<(), CliError> {
    if !output.is_human() {
        return output.document(draft);
    }
    let title = draft.title.as_ref().map(|title| format!(": {}", clean(title)));
    output.line(format!(
        "# draft {} for {}, version {}{}",
        draft.id,
        draft.environment,
        draft.version,
        title.unwrap_or_default().replace('\n', " ")
    ))?;
    for change in &draft.changes {
        let actor = clean(&change.actor.to_string());
        output.line(format!(
            "# version {} by {actor}, {}",
            change.version,
            ago(change.at, output.now)
        ))?;
    }
    let delta =
        serde_json::to_value(&draft.delta).map_err(|error| CliError::Failed(error.to_string()))?;
    let text = deployd_config::to_yaml(&delta)?;
    output.text(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::tests::ran;
    use crate::testing::{Answer, Daemon, record};

    #[tokio::test]
    async fn a_draft_that_is_shown_can_be_edited_and_given_back() {
        let draft = json!({
            "id": "4m0zta51xk", "environment": "shop/production", "title": "hotfix",
            "base": deployd_core::Digest::of(b""), "version": 3,
            "delta": {"workloads": {"remove": ["jobs"]}},
            "changes": [{"version": 3, "actor": "bob", "at": "1970-01-01T00:16:40.000Z"}],
        });
        let digest = deployd_core::Digest::of(b"other");
        let environment = json!({
            "id": "shop/production", "environmentType": "t", "images": [],
            "state": {"accepted": 1, "deployed": {
                "deployment": "01jd2k9x7h8f6v3q5w1n4m0zta", "set": digest, "plan": digest,
                "manifests": digest, "at": "1970-01-01T00:16:40.000Z",
            }},
        });
        let answers = [Answer::json(200, &draft), Answer::json(200, &environment)];
        let daemon = Daemon::new(answers).await;
        let done = ran(&daemon, &["draft", "show", "4m0zta51xk"], "").await;
        assert!(done.err.contains("now it is sha256:"), "{}", done.err);
        let shown = done.out;
        assert!(shown.contains("for shop/production, version 3: hotfix"), "{shown}");
        assert!(shown.contains("# version 3 by bob, 1 min ago"), "{shown}");
        let daemon = Daemon::new([Answer::json(200, &draft)]).await;
        let line = ["draft", "edit", "4m0zta51xk", "--version", "3", "--delta", "-"];
        let done = ran(&daemon, &line, &shown).await;
        assert_eq!((done.code, done.out.trim()), (0, "4m0zta51xk"), "{}", done.err);
        let asked = &daemon.seen()[0];
        assert_eq!(asked.line, "PUT /v1/drafts/4m0zta51xk");
        assert_eq!(asked.json(), json!({"version": 3, "delta": draft["delta"]}));

        let daemon = Daemon::new([Answer::json(200, &[&draft])]).await;
        let listed = ran(&daemon, &["draft", "list", "shop"], "").await.out;
        assert!(listed.contains("1 workload") && listed.contains("hotfix"), "{listed}");
        let daemon = Daemon::new([Answer::json(202, &record())]).await;
        let line = ["draft", "deploy", "4m0zta51xk", "--version", "3", "--no-watch"];
        assert_eq!(ran(&daemon, &line, "").await.code, 0);
        assert_eq!(daemon.seen()[0].json(), json!({"version": 3}));
    }
}
