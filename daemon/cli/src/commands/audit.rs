//! Shows who did what, when and from where, and what was refused.

use deployd_core::audit::{AuditEntry, AuditFilter, AuditPage};
use deployd_core::journal::Source;
use deployd_core::views::PAGE_MAX;

use super::Context;
use super::inventory::time;
use crate::args::AuditArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Sheet, Table, Tone};

/// Entries in a table, unless more are asked for.
const SHOWN: usize = 50;

pub(super) async fn audit(context: &mut Context<'_>, args: AuditArgs) -> Result<u8, CliError> {
    let now = context.output.now;
    let filter = AuditFilter {
        actor: args.actor,
        application: args.application,
        environment: args.environment,
        since: args.since.map(|since| since.at(now)),
        until: args.until.map(|until| until.at(now)),
        kind: args.kind,
        refused: args.refused,
    };
    let client = context.client()?;
    let mut all = AuditPage::default();
    let limit = context.output.at_most(args.limit, SHOWN);
    // A page may have little on it, and there may be more all the same.
    while all.entries.len() < limit {
        let left = limit.saturating_sub(all.entries.len()).min(PAGE_MAX);
        let page = client.audit(&filter, all.next.as_deref(), left).await?;
        all.entries.extend(page.entries);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    let output = &mut *context.output;
    if output.is_sheet() {
        sheet(output, &all.entries)?;
    } else if output.is_human() {
        table(output, &all.entries)?;
    } else {
        output.document(&all)?;
    }
    if all.next.is_some() {
        output.note("there may be more: see --limit")?;
    }
    Ok(exit::OK)
}

fn table(output: &mut Output, entries: &[AuditEntry]) -> Result<(), CliError> {
    if entries.is_empty() {
        return output.note("nothing of that kind has happened");
    }
    let mut table = Table::new(["time", "who", "from", "what", "proof"]);
    for entry in entries {
        let what =
            if entry.refused { format!("refused: {}", entry.what) } else { entry.what.clone() };
        let tone = if entry.refused { Tone::Bad } else { Tone::Plain };
        let proof = format!("{}#{} {}", entry.stream, entry.version.0, entry.hash.short());
        table.toned([
            (time(entry.at), Tone::Plain),
            (entry.actor.to_string(), Tone::Plain),
            (from(entry.source.as_ref()), Tone::Plain),
            (what, tone),
            (proof, Tone::Dim),
        ]);
    }
    output.table(&table)
}

/// `192.0.2.1`, or `192.0.2.1 (for 203.0.113.7)` where a proxy says so.
fn from(source: Option<&Source>) -> String {
    let Some(source) = source else { return "-".to_owned() };
    let address = source.address.clone().unwrap_or_else(|| "-".to_owned());
    match &source.forwarded_for {
        Some(by) => format!("{address} (for {by})"),
        None => address,
    }
}

fn sheet(output: &mut Output, entries: &[AuditEntry]) -> Result<(), CliError> {
    let mut sheet = Sheet::new([
        "time",
        "actor",
        "address",
        "forwardedFor",
        "userAgent",
        "request",
        "kind",
        "what",
        "refused",
        "stream",
        "version",
        "hash",
    ]);
    for entry in entries {
        let source = entry.source.clone().unwrap_or_default();
        sheet.row([
            entry.at.to_string(),
            entry.actor.to_string(),
            source.address.unwrap_or_default(),
            source.forwarded_for.unwrap_or_default(),
            source.user_agent.unwrap_or_default(),
            source.request.unwrap_or_default(),
            entry.kind.clone(),
            entry.what.clone(),
            entry.refused.to_string(),
            entry.stream.to_string(),
            entry.version.0.to_string(),
            entry.hash.to_string(),
        ]);
    }
    output.sheet(&sheet)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::ran;
    use crate::testing::{Answer, Daemon};

    #[tokio::test]
    async fn entries_are_told_with_their_proof_until_there_are_enough() {
        let entry = |refused: bool| {
            json!({
                "at": "1970-01-01T00:10:00Z", "actor": "ci",
                "source": {"address": "192.0.2.1", "forwardedFor": "203.0.113.7"},
                "kind": "request-refused", "what": "GET /v1/tokens", "refused": refused,
                "stream": "access", "version": 4,
                "hash": deployd_core::Digest::of(b"x"), "body": {},
            })
        };
        // A page on which nothing was found leads on.
        let pages = [
            json!({"entries": [], "next": "aa"}),
            json!({"entries": [entry(true)], "next": "bb"}),
            json!({"entries": [entry(false)]}),
        ];
        let daemon = Daemon::new(pages.iter().map(|page| Answer::json(200, page))).await;
        let done =
            ran(&daemon, &["audit", "--actor", "ci", "--refused", "--since", "10min"], "").await;
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains("192.0.2.1 (for 203.0.113.7)"), "{}", done.out);
        assert!(done.out.contains("refused: GET /v1/tokens"), "{}", done.out);
        assert!(done.out.contains("access#4 "), "{}", done.out);
        let asked = "GET /v1/audit?actor=ci&since=1970-01-01T00%3A07%3A40.000Z&refused=true";
        assert_eq!(
            daemon.lines(),
            [
                format!("{asked}&limit=50"),
                format!("{asked}&cursor=aa&limit=50"),
                format!("{asked}&cursor=bb&limit=49")
            ]
        );
    }
}
