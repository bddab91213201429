//! Shows which image is and was where.

use deployd_core::deployment::Outcome;
use deployd_core::image::{Image, ImageQuery};
use deployd_core::inventory::{
    EnvironmentThen, InventoryFilter, InventoryPage, Location, Passage, Station, When, Whereabouts,
};
use deployd_core::views::PAGE_MAX;
use deployd_core::{EnvironmentId, Name, Timestamp};

use super::Context;
use crate::args::{InventoryArgs, InventoryCommand, PathArgs, PointInTime, WhereArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Sheet, Table, Tone, ago, clean, lasted, short};

/// Locations of an image in a table, unless more are asked for.
const SHOWN: usize = 500;

/// What a spreadsheet gets of a location.
const COLUMNS: [&str; 14] = [
    "environment",
    "type",
    "image",
    "tag",
    "commit",
    "containers",
    "from",
    "until",
    "deployment",
    "number",
    "by",
    "asked",
    "outcome",
    "ready",
];

pub(super) async fn inventory(
    context: &mut Context<'_>,
    args: InventoryArgs,
) -> Result<u8, CliError> {
    let InventoryArgs { application, at, environment_type, command } = args;
    match command {
        None => list(context, application, environment_type, at).await,
        Some(InventoryCommand::Where(args)) => whereabouts(context, args).await,
        Some(InventoryCommand::Path(args)) => path(context, args).await,
        Some(InventoryCommand::Package(args)) => super::packages::package(context, &args).await,
    }
}

async fn list(
    context: &mut Context<'_>,
    application: Option<Name>,
    environment_type: Option<Name>,
    at: Option<PointInTime>,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let at = at.map(|at| at.at(context.output.now));
    let filter = InventoryFilter { application, environment_type, at };
    let mut all = InventoryPage::default();
    loop {
        let page = client.inventory(&filter, all.next.as_deref(), PAGE_MAX).await?;
        all.locations.extend(page.locations);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    let output = &mut *context.output;
    if output.is_sheet() {
        return sheet(output, &all.locations);
    }
    if !output.is_human() {
        output.document(&all.locations)?;
        return Ok(exit::OK);
    }
    if all.locations.is_empty() {
        output.note("nothing runs there")?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["environment", "type", "image", "since", "deployment", "by"]);
    for location in &all.locations {
        let stay = &location.stay;
        table.row([
            location.environment.to_string(),
            stay.environment_type.as_ref().map_or_else(String::new, ToString::to_string),
            name(location),
            stay.from.map_or_else(String::new, |from| ago(from, output.now)),
            format!("#{} {}", stay.number, location.deployment),
            stay.actor.0.clone(),
        ]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}

async fn whereabouts(context: &mut Context<'_>, args: WhereArgs) -> Result<u8, CliError> {
    let WhereArgs { image, now, ever, at, limit } = args;
    let client = context.client()?;
    let at = at.map(|at| at.at(context.output.now));
    let whole = matches!(image, ImageQuery::Repository(_));
    let when = if now || (whole && !ever) { When::Now } else { When::Ever };
    let mut all = Whereabouts::default();
    let limit = context.output.at_most(limit, SHOWN);
    while all.locations.len() < limit {
        let left = limit.saturating_sub(all.locations.len()).min(PAGE_MAX);
        let page = client.whereabouts(&image, when, at, all.next.as_deref(), left).await?;
        let clock = context.output.now;
        page.locations.iter().for_each(|location| all.saw(&location.stay, clock));
        all.locations.extend(page.locations);
        all.announced.extend(page.announced);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    all.announced.sort_by_key(|one| one.at);
    all.announced.dedup();
    let output = &mut *context.output;
    if all.next.is_some() {
        output.note("there is more: see --limit")?;
    }
    if output.is_sheet() {
        return sheet(output, &all.locations);
    }
    if !output.is_human() {
        output.document(&all)?;
        return Ok(exit::OK);
    }
    locations(output, &all.locations)?;
    if let (Some(first), Some(last)) = (all.first_seen, all.last_seen) {
        let last = if all.locations.iter().any(|at| at.stay.is_now()) {
            "now".to_owned()
        } else {
            time(last)
        };
        output.note(format!("first seen {}, last seen {last}", time(first)))?;
    } else if all.locations.is_empty() {
        output.note(match (at, when) {
            (Some(_), _) => "it was nowhere then",
            (None, When::Now) => "it is nowhere now; --ever shows where it was",
            (None, When::Ever) => "it was announced, and never came to an environment",
        })?;
    }
    Ok(exit::OK)
}

fn locations(output: &mut Output, locations: &[Location]) -> Result<(), CliError> {
    if locations.is_empty() {
        return Ok(());
    }
    let mut table =
        Table::new(["environment", "image", "from", "until", "deployment", "by", "outcome"]);
    for location in locations {
        let stay = &location.stay;
        let (until, tone) = match (stay.from, stay.until) {
            (Some(_), None) => ("now".to_owned(), Tone::Good),
            (Some(_), Some(until)) => (time(until), Tone::Plain),
            (None, _) => ("never ran".to_owned(), Tone::Warn),
        };
        table.toned([
            (location.environment.to_string(), Tone::Plain),
            (name(location), Tone::Plain),
            (stay.from.map_or_else(String::new, time), Tone::Plain),
            (until, tone),
            (format!("#{} {}", stay.number, location.deployment), Tone::Plain),
            (stay.actor.0.clone(), Tone::Plain),
            outcome(stay.outcome),
        ]);
    }
    output.table(&table)
}

async fn path(context: &mut Context<'_>, args: PathArgs) -> Result<u8, CliError> {
    let passage = context.client()?.passage(&args.image, &args.before).await?;
    let output = &mut *context.output;
    if output.is_sheet() {
        let locations: Vec<Location> =
            passage.stations.into_iter().map(|station| station.location).collect();
        return sheet(output, &locations);
    }
    if !output.is_human() {
        output.document(&passage)?;
        return Ok(exit::OK);
    }
    describe_path(output, &passage)?;
    Ok(exit::OK)
}

fn describe_path(output: &mut Output, passage: &Passage) -> Result<(), CliError> {
    for first in &passage.announced {
        let built = first.artifact.commit.as_ref().map(|commit| format!(" of commit {commit}"));
        let image = short(&first.artifact.image());
        output.line(format!(
            "{} {}{}, announced {} by {}",
            clean(&image),
            clean(first.artifact.tag.as_deref().unwrap_or_default()),
            clean(&built.unwrap_or_default()),
            time(first.at),
            clean(&first.by.0)
        ))?;
    }
    let mut table =
        Table::new(["environment", "ran for", "from", "deployment", "outcome", "checks"]);
    for station in &passage.stations {
        let stay = &station.location.stay;
        table.toned([
            (station.location.environment.to_string(), Tone::Plain),
            (station.lasted_ms.map_or_else(|| "-".to_owned(), lasted), Tone::Plain),
            (stay.from.map_or_else(|| "-".to_owned(), time), Tone::Plain),
            (format!("#{} {}", stay.number, station.location.deployment), Tone::Plain),
            outcome(stay.outcome),
            (checks(station), Tone::Plain),
        ]);
    }
    if table.is_empty() {
        output.line(format!("it was nowhere before {}", passage.before))?;
    } else {
        output.table(&table)?;
    }
    output.line(match passage.reached {
        Some(reached) => format!("came to {} on {}", passage.before, time(reached)),
        None => format!("never came to {}", passage.before),
    })?;
    if passage.cut {
        output.note("there were more stations than are shown")?;
    }
    Ok(())
}

/// `ready: frontend; gate qa by ada; drift: 2 findings`.
fn checks(station: &Station) -> String {
    let mut texts = Vec::new();
    let ready = &station.location.stay.seen_ready;
    if !ready.is_empty() {
        texts.push(format!("ready: {}", ready.join(", ")));
    }
    for passed in &station.gates {
        texts.push(format!("gate {} by {}", passed.gate, passed.by));
    }
    if let Some(worst) = station.drift.iter().map(|found| found.summary.findings).max() {
        texts.push(format!("drift: {worst} findings"));
    }
    if texts.is_empty() { "none".to_owned() } else { texts.join("; ") }
}

/// Shows what ran in an environment at a time.
pub(super) async fn then(
    context: &mut Context<'_>,
    environment: &EnvironmentId,
    at: PointInTime,
) -> Result<u8, CliError> {
    let at = at.at(context.output.now);
    let view = context.client()?.environment_then(environment, at).await?;
    let output = &mut *context.output;
    if output.is_sheet() {
        return sheet(output, &view.locations);
    }
    if !output.is_human() {
        output.document(&view)?;
        return Ok(exit::OK);
    }
    describe_then(output, &view)?;
    Ok(exit::OK)
}

fn describe_then(output: &mut Output, view: &EnvironmentThen) -> Result<(), CliError> {
    let title = output.paint.tone(Tone::Strong, view.environment.to_string());
    output.line(format!("{title} on {}", time(view.at)))?;
    let by = clean(&view.by.0);
    output.line(format!("  ran       deployment #{} {} by {by}", view.number, view.deployment))?;
    let until = view.until.map_or_else(|| "now".to_owned(), time);
    output.line(format!("  from      {} until {until}", time(view.from)))?;
    output.line(format!("  set       {}", view.set))?;
    output.line("")?;
    let mut table = Table::new(["container", "image", "since", "deployment"]);
    for location in &view.locations {
        let stay = &location.stay;
        table.row([
            stay.containers.join(", "),
            name(location),
            stay.from.map_or_else(String::new, time),
            format!("#{}", stay.number),
        ]);
    }
    output.table(&table)
}

/// The image with its tag, for people: `registry.test/web:1.4@sha256:0123456789ab`.
pub(super) fn name(location: &Location) -> String {
    let image = Image::of(&location.image);
    match (&location.stay.tag, image.digest) {
        (Some(tag), Some(digest)) => short(&format!("{}:{tag}@{digest}", image.repository)),
        _ => short(&location.image),
    }
}

pub(super) fn outcome(outcome: Outcome) -> (String, Tone) {
    let tone = match outcome {
        Outcome::Succeeded => Tone::Good,
        Outcome::Cancelled | Outcome::Superseded => Tone::Warn,
        Outcome::Failed | Outcome::RolledBack | Outcome::NeedsOperator => Tone::Bad,
    };
    (outcome.as_str().to_owned(), tone)
}

/// To the second: `2026-11-14T14:00:07Z`.
pub(super) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

fn sheet(output: &mut Output, locations: &[Location]) -> Result<u8, CliError> {
    let mut sheet = Sheet::new(COLUMNS);
    for location in locations {
        let stay = &location.stay;
        let at = |time: Option<Timestamp>| time.map_or_else(String::new, |time| time.to_string());
        sheet.row([
            location.environment.to_string(),
            stay.environment_type.as_ref().map_or_else(String::new, ToString::to_string),
            location.image.clone(),
            stay.tag.clone().unwrap_or_default(),
            stay.commit.clone().unwrap_or_default(),
            stay.containers.join(" "),
            at(stay.from),
            at(stay.until),
            location.deployment.to_string(),
            stay.number.to_string(),
            stay.actor.to_string(),
            stay.queued.to_string(),
            stay.outcome.as_str().to_owned(),
            stay.seen_ready.join(" "),
        ]);
    }
    output.sheet(&sheet)?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use deployd_core::Digest;
    use serde_json::{Value, json};

    use super::super::tests::ran;
    use crate::testing::{Answer, Daemon};

    fn location(environment: &str, until: Option<&str>) -> Value {
        let digest = Digest::of(b"x");
        let mut location = json!({
            "environment": environment, "environmentType": "development",
            "image": format!("r.test/web@{digest}"), "tag": "1.4",
            "deployment": "01jd2k9x7h8f6v3q5w1n4m0zta", "number": 7, "actor": "=ada",
            "queued": "1970-01-01T00:00:01Z", "containers": ["web/nginx"],
            "from": "1970-01-01T00:10:00Z", "outcome": "succeeded", "seenReady": ["web"],
        });
        if let Some(until) = until {
            location["until"] = json!(until);
        }
        location
    }

    #[tokio::test]
    async fn all_pages_are_one_table() {
        let pages = [
            json!({"locations": [location("shop/development", None)], "next": "shop/development"}),
            json!({"locations": [location("shop/production", None)]}),
        ];
        let daemon = Daemon::new(pages.iter().map(|page| Answer::json(200, page))).await;
        let done = ran(&daemon, &["inventory", "shop", "--type", "development"], "").await;
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(done.out.lines().count(), 3, "{}", done.out);
        assert!(done.out.contains("r.test/web:1.4@sha256:"), "{}", done.out);
        let asked = "/v1/inventory?application=shop&type=development";
        assert_eq!(
            daemon.lines(),
            [
                format!("GET {asked}&limit=500"),
                format!("GET {asked}&cursor=shop%2Fdevelopment&limit=500")
            ]
        );
    }

    #[tokio::test]
    async fn lists_are_for_spreadsheets_too_and_nothing_else_is() {
        let found = json!({"locations": [
            location("shop/development", Some("1970-01-01T00:15:00Z")),
            location("shop/production", None),
        ]});
        let daemon = Daemon::new([Answer::json(200, &found)]).await;
        let done = ran(&daemon, &["inventory", "where", "r.test/web:1.4", "-o", "csv"], "").await;
        assert_eq!(done.code, 0, "{}", done.err);
        let lines: Vec<&str> = done.out.lines().collect();
        assert!(lines[0].starts_with("environment,type,image,tag"), "{}", done.out);
        assert!(lines[1].contains(",'=ada,"), "{}", done.out);
        let daemon = Daemon::new([]).await;
        let done = ran(&daemon, &["redeploy", "01jd2k9x7h8f6v3q5w1n4m0zta", "-o", "csv"], "").await;
        assert_eq!((done.code, daemon.lines().len()), (2, 0), "{}", done.err);
    }

    #[tokio::test]
    async fn where_it_is_and_was_is_told_with_times() {
        let found = json!({"locations": [
            location("shop/development", Some("1970-01-01T00:15:00Z")),
            location("shop/production", None),
        ]});
        let daemon = Daemon::new([Answer::json(200, &found)]).await;
        let done = ran(&daemon, &["inventory", "where", "r.test/web:1.4"], "").await;
        assert!(done.out.contains("1970-01-01T00:15:00Z"), "{}", done.out);
        assert!(
            done.err.contains("first seen 1970-01-01T00:10:00Z, last seen now"),
            "{}",
            done.err
        );
        assert_eq!(
            daemon.lines(),
            ["GET /v1/inventory/where?image=r.test%2Fweb%3A1.4&when=ever&limit=500"]
        );
        let bad = ["deployd", "inventory", "where", "sha256:12"];
        let error = <crate::args::Cli as clap::Parser>::try_parse_from(bad).unwrap_err();
        assert!(error.to_string().contains("expected an image"), "{error}");
    }
}
