//! Shows which images have a package, and where they are and were.

use deployd_core::sbom::{PackageFound, PackagePage, PackageQuery};

use super::Context;
use super::inventory::{name, time};
use crate::args::PackageArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Sheet, Table, Tone, short};

/// Images on a page: the most that the daemon gives.
const PAGE: usize = 200;

/// Images in a table, unless more are asked for.
const SHOWN: usize = 200;

pub(super) async fn package(context: &mut Context<'_>, args: &PackageArgs) -> Result<u8, CliError> {
    // An `@` at the beginning is of a scope.
    let (name, version) = match args.package.rsplit_once('@') {
        Some((name, version)) if !name.is_empty() && !version.is_empty() => (name, Some(version)),
        _ => (args.package.as_str(), None),
    };
    let version = version.map(ToOwned::to_owned);
    let query = PackageQuery { name: name.to_owned(), version, now: args.now };
    let client = context.client()?;
    let mut all = PackagePage::default();
    let limit = context.output.at_most(args.limit, SHOWN);
    while all.found.len() < limit {
        let left = limit.saturating_sub(all.found.len()).min(PAGE);
        let page = client.images_with_package(&query, all.next.as_deref(), left).await?;
        all.found.extend(page.found);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    let output = &mut *context.output;
    if output.is_sheet() {
        sheet(output, &all.found)?;
    } else if output.is_human() {
        table(output, &all.found)?;
    } else {
        output.document(&all)?;
    }
    if all.next.is_some() {
        output.note("there may be more: see --limit")?;
    }
    if all.found.iter().any(|one| one.cut) {
        output.note(
            "some of these images are or were in more places: `deployd inventory where` has all",
        )?;
    }
    Ok(exit::OK)
}

fn table(output: &mut Output, found: &[PackageFound]) -> Result<(), CliError> {
    if found.is_empty() {
        return output.note("no attached bill of materials names it");
    }
    let mut table =
        Table::new(["package", "version", "image", "environment", "from", "until", "deployment"]);
    for one in found {
        let package = &one.package;
        if one.locations.is_empty() {
            let image = short(&one.image.to_string());
            let cells = [package.name.clone(), package.version.clone(), image, "-".to_owned()];
            table.row(cells);
        }
        for location in &one.locations {
            let stay = &location.stay;
            let (until, tone) = match (stay.from, stay.until) {
                (Some(_), None) => ("now".to_owned(), Tone::Warn),
                (Some(_), Some(until)) => (time(until), Tone::Plain),
                (None, _) => ("never ran".to_owned(), Tone::Plain),
            };
            table.toned([
                (package.name.clone(), Tone::Plain),
                (package.version.clone(), Tone::Plain),
                (name(location), Tone::Plain),
                (location.environment.to_string(), Tone::Plain),
                (stay.from.map_or_else(String::new, time), Tone::Plain),
                (until, tone),
                (format!("#{} {}", stay.number, location.deployment), Tone::Plain),
            ]);
        }
    }
    output.table(&table)
}

fn sheet(output: &mut Output, found: &[PackageFound]) -> Result<(), CliError> {
    let mut sheet = Sheet::new([
        "package",
        "version",
        "purl",
        "digest",
        "image",
        "environment",
        "from",
        "until",
        "deployment",
    ]);
    for one in found {
        let row = |image: String, rest: [String; 4]| {
            let [environment, from, until, deployment] = rest;
            [
                one.package.name.clone(),
                one.package.version.clone(),
                one.package.purl.clone().unwrap_or_default(),
                one.image.to_string(),
                image,
                environment,
                from,
                until,
                deployment,
            ]
        };
        if one.locations.is_empty() {
            sheet.row(row(String::new(), Default::default()));
        }
        for location in &one.locations {
            let at = |time: Option<deployd_core::Timestamp>| {
                time.map_or_else(String::new, |time| time.to_string())
            };
            let rest = [
                location.environment.to_string(),
                at(location.stay.from),
                at(location.stay.until),
                location.deployment.to_string(),
            ];
            sheet.row(row(location.image.clone(), rest));
        }
    }
    output.sheet(&sheet)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::ran;
    use crate::testing::{Answer, Daemon};

    #[tokio::test]
    async fn packages_are_asked_for_by_name_and_version() {
        let image = deployd_core::Digest::of(b"x");
        let found = json!({"found": [
            {"name": "@angular/core", "version": "17.0.1", "image": image, "locations": []},
        ]});
        for (text, line) in [
            ("openssl@3.0.2", "name=openssl&version=3.0.2"),
            ("@angular/core", "name=%40angular%2Fcore"),
            ("@angular/core@17.0.1", "name=%40angular%2Fcore&version=17.0.1"),
        ] {
            let daemon = Daemon::new([Answer::json(200, &found)]).await;
            let done = ran(&daemon, &["inventory", "package", text], "").await;
            assert_eq!(done.code, 0, "{}", done.err);
            assert!(done.out.contains("17.0.1"), "{}", done.out);
            let asked = format!("GET /v1/inventory/packages?{line}&limit=200");
            assert_eq!(daemon.lines(), [asked]);
        }
    }

    #[tokio::test]
    async fn a_bill_of_materials_is_sent_as_it_is() {
        let digest = deployd_core::Digest::of(b"x");
        let attached = json!({
            "image": digest, "document": digest, "format": "cyclone-dx", "packages": 2,
            "by": "ci", "at": "1970-01-01T00:10:00Z",
        });
        let daemon = Daemon::new([Answer::json(200, &attached)]).await;
        let image = format!("r.test/web:1.4@{digest}");
        let done = ran(&daemon, &["artifact", "attach", &image, "--sbom", "-"], "{\"a\": 1}").await;
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains("2 packages"), "{}", done.out);
        let seen = daemon.seen();
        let asked = format!("PUT /v1/artifacts/{digest}/sbom");
        assert_eq!((seen[0].line.clone(), seen[0].body.clone()), (asked, b"{\"a\": 1}".to_vec()));
    }
}
