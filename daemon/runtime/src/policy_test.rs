//! `deployd policy test`: whether policies find what their cases expect, without a
//! daemon.

use std::collections::BTreeMap;
use std::process::ExitCode;

use deployd_cli::args::PolicyTestArgs;
use deployd_cli::live::findings;
use deployd_cli::policy_test::{self, PolicyTest};
use deployd_cli::{Globals, Output, exit};
use deployd_core::config::PluginKind;
use deployd_core::policy::{Answer, CaseOutcome, PlannedPolicy, compare, report};
use deployd_core::ports::{Call, CallLog, PluginRef, Policies as _, Scope};
use serde_json::{Value, json};

use crate::offline::Offline;

/// Judges each case, and prints what is not as expected, with the path.
///
/// Fails when a file can't be read, and when there is no such plugin. What a policy
/// can't judge is a finding of its case, as it is a refusal in a daemon.
pub(crate) async fn run(globals: &Globals, args: &PolicyTestArgs) -> anyhow::Result<ExitCode> {
    let PolicyTest { policies, cases } = policy_test::read(args)?;
    let offline = Offline::new()?;
    let mut plugins: BTreeMap<String, PluginRef> = BTreeMap::new();
    let mut planned = Vec::with_capacity(policies.len());
    for policy in policies {
        let named = args.plugin.clone().unwrap_or_else(|| policy.spec.plugin.to_string());
        let plugin = match plugins.get(&named) {
            Some(known) => known.clone(),
            None => Box::pin(offline.load(PluginKind::Policy, &named)).await?,
        };
        plugins.insert(named, plugin.clone());
        planned.push(PlannedPolicy {
            name: policy.metadata.name,
            plugin,
            params: json!(policy.spec.params),
            enforce: policy.spec.enforce,
            exemptions: policy.spec.exemptions,
        });
    }
    let mut output = Output::standard(globals);
    let mut results = Vec::with_capacity(cases.len());
    for case in &cases {
        let found = judged(&offline, &planned, &case.asked(), &mut output).await?;
        let outcome = compare(&case.expect, &found);
        if output.is_human() {
            told(&mut output, &case.name, &outcome)?;
        }
        results.push((case, found, outcome));
    }
    let failed = results.iter().filter(|(_, _, outcome)| !outcome.passed()).count();
    if output.is_human() {
        output.note(format!("{} cases, {failed} failed", results.len()))?;
    } else {
        let cases = results.iter().map(|(case, found, outcome)| {
            let passed = outcome.passed();
            json!({"case": case.name, "passed": passed, "found": found, "differs": outcome})
        });
        output.document(&cases.collect::<Value>())?;
    }
    output.flush()?;
    Ok(ExitCode::from(if failed == 0 { exit::OK } else { exit::REFUSED }))
}

/// What policies say of an input.
async fn judged(
    offline: &Offline,
    policies: &[PlannedPolicy],
    input: &Value,
    output: &mut Output,
) -> anyhow::Result<deployd_core::policy::PolicyReport> {
    let mut answers = Vec::with_capacity(policies.len());
    for policy in policies {
        let (scope, log) = (Scope::default(), CallLog::default());
        let call = Call { plugin: &policy.plugin, scope: &scope, log: &log };
        let found = offline.host.evaluate(call, input, &policy.params).await;
        for line in log.take() {
            output.note(line.message)?;
        }
        answers.push(Answer { policy, found });
    }
    Ok(report(answers, input))
}

fn told(output: &mut Output, name: &str, outcome: &CaseOutcome) -> anyhow::Result<()> {
    if outcome.passed() {
        output.line(format!("ok      {name}"))?;
        return Ok(());
    }
    output.line(format!("FAILED  {name}"))?;
    for missing in &outcome.missing {
        let path = missing.path.as_deref().map(|path| format!(" at {path}")).unwrap_or_default();
        output.line(format!("  expected and not found: {}{path}", missing.rule))?;
    }
    let unexpected = deployd_core::policy::PolicyReport {
        findings: outcome.unexpected.clone(),
        ..Default::default()
    };
    for line in findings(&unexpected) {
        output.line(format!("  found and not expected: {}", line.text))?;
    }
    Ok(())
}
