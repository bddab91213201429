//! Agreeing to plans, and what went on without.

use deployd_core::approval::{
    ApprovalDecision, ApprovalGate, ApprovalRequest, ApprovalView, BreakGlassRequest,
    DelegateRequest, ReviewRequest,
};
use deployd_core::plan::Plan;
use deployd_core::set::Delta;

use super::named::{self, Alone};
use super::{Context, plan_text};
use crate::args::{
    ApprovalsCommand, ApprovalsDelegateArgs, ApprovalsListArgs, ApprovalsShowArgs,
    ApprovalsWithdrawArgs, ApproveArgs, RefuseArgs, ReviewsCloseArgs, ReviewsCommand,
    ReviewsListArgs,
};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean};

/// Changes since a plan was asked for before that are shown: half of a screen.
const CHANGES_SHOWN_MAX: usize = 20;

pub(super) async fn approve(context: &mut Context<'_>, args: ApproveArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Active).await?;
    let plan = match args.plan.filter(|_| args.yes) {
        Some(plan) => plan,
        None => {
            let view = client.approval(&id).await?;
            if let Some(other) = args.plan.filter(|plan| *plan != view.waiting.plan) {
                let text = format!("{other} is not its plan, which is {}", view.waiting.plan);
                return Err(CliError::Input(text));
            }
            if !(context.output.is_human() && context.typed) {
                let text = format!(
                    "nobody is there to be asked; `--plan {} --yes` approves the plan that there is now",
                    view.waiting.plan
                );
                return Err(CliError::Input(text));
            }
            show_view(context.output, &view)?;
            let question = match args.break_glass {
                true => "Go on although not all have agreed? Everybody is told. [y/N] ",
                false => "Approve this plan? [y/N] ",
            };
            if !context.confirmed(question)? {
                context.output.note("nothing was approved")?;
                return Ok(exit::FAILED);
            }
            view.waiting.plan
        }
    };
    let record = if args.break_glass {
        let reason = args.reason.unwrap_or_default();
        client.break_glass(&id, &BreakGlassRequest { plan, reason }).await?
    } else {
        let decision = ApprovalDecision::Approve;
        client.decide(&id, &ApprovalRequest { plan, decision, reason: args.reason }).await?
    };
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&record)?;
        return Ok(exit::OK);
    }
    let name = format!("{} #{}", record.environment, record.number);
    let rest: Vec<String> = record
        .work
        .iter()
        .flat_map(|work| {
            deployd_core::approval::rules(&work.gates).filter_map(|rule| {
                let missing = work.approvals.missing(rule, plan);
                (missing > 0).then(|| format!("{missing} of {}", rule.name))
            })
        })
        .collect();
    if args.break_glass {
        output.line(output.paint.tone(Tone::Warn, format!("{name} goes on without approvals")))?;
        return output
            .note("`deployd reviews list` has it until somebody else has looked at it")
            .map(|()| exit::OK);
    }
    output.line(output.paint.tone(Tone::Good, format!("{name} approved")))?;
    match rest.as_slice() {
        [] => output.note("nobody else has to agree")?,
        rest => output.note(format!("still missing: {}", rest.join(", ")))?,
    }
    Ok(exit::OK)
}

pub(super) async fn refuse(context: &mut Context<'_>, args: RefuseArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Active).await?;
    let plan = client.approval(&id).await?.waiting.plan;
    let decision = ApprovalDecision::Refuse;
    let request = ApprovalRequest { plan, decision, reason: Some(args.reason) };
    let record = client.decide(&id, &request).await?;
    let output = &mut *context.output;
    if output.is_human() {
        output.line(format!("{} #{} refused: it ends", record.environment, record.number))?;
    } else {
        output.document(&record)?;
    }
    Ok(exit::OK)
}

pub(super) async fn approvals(
    context: &mut Context<'_>,
    command: ApprovalsCommand,
) -> Result<u8, CliError> {
    match command {
        ApprovalsCommand::List(args) => list(context, args).await,
        ApprovalsCommand::Show(args) => show(context, args).await,
        ApprovalsCommand::Withdraw(args) => withdraw(context, args).await,
        ApprovalsCommand::Delegate(args) => delegate(context, args).await,
        ApprovalsCommand::Undelegate(args) => {
            context.client()?.undelegate(&args.to).await?;
            let text = format!("{} approves no more in your place", clean(&args.to));
            context.output.note(text)?;
            Ok(exit::OK)
        }
        ApprovalsCommand::Delegations => delegations(context).await,
    }
}

async fn list(context: &mut Context<'_>, args: ApprovalsListArgs) -> Result<u8, CliError> {
    let found = context.client()?.approvals(args.environment.as_ref()).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&found)?;
        return Ok(exit::OK);
    }
    if found.is_empty() {
        output.line("Nothing waits for approvals.")?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["deployment", "asked for by", "since", "waits for", "until"]);
    for one in &found {
        let waits: Vec<String> = one.gates.iter().map(missing).collect();
        let until = one.gates.iter().map(|gate| gate.expires).min();
        table.toned([
            (format!("{}#{}", one.environment, one.number), Tone::Strong),
            (clean(&one.requester.0), Tone::Plain),
            (ago(one.asked, output.now), Tone::Dim),
            (clean(&waits.join("; ")), Tone::Warn),
            (until.map(|until| until.to_string()).unwrap_or_default(), Tone::Dim),
        ]);
    }
    output.table(&table)?;
    output.note("`deployd approve APP/ENV` shows the plan, and approves it")?;
    Ok(exit::OK)
}

/// What a rule still waits for.
fn missing(gate: &ApprovalGate) -> String {
    let who: Vec<&str> =
        gate.rule.groups.iter().chain(&gate.rule.people).map(String::as_str).collect();
    let who = if who.is_empty() { String::new() } else { format!(" of {}", who.join(", ")) };
    match gate.missing {
        0 => format!("{}: all have agreed", gate.rule.name),
        missing => format!("{}: {missing} more{who}", gate.rule.name),
    }
}

async fn show(context: &mut Context<'_>, args: ApprovalsShowArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Active).await?;
    let view = client.approval(&id).await?;
    let output = &mut *context.output;
    if output.is_human() {
        show_view(output, &view)?;
    } else {
        output.document(&view)?;
    }
    Ok(exit::OK)
}

/// All that is to be known before one agrees.
fn show_view(output: &mut Output, view: &ApprovalView) -> Result<(), CliError> {
    let ApprovalView { waiting, not_yours, content, changed } = view;
    let paint = output.paint;
    let title = format!("{} #{}", waiting.environment, waiting.number);
    let by = clean(&waiting.requester.0);
    output.line(format!("{}, asked for by {by}", paint.tone(Tone::Strong, title)))?;
    if let Some(comment) = &waiting.comment {
        output.line(format!("  {}", clean(comment)))?;
    }
    for gate in &waiting.gates {
        let text = clean(&format!("  {}, until {}", missing(gate), gate.expires));
        output.line(paint.tone(Tone::Warn, text))?;
        for given in &gate.given {
            let of = given.on_behalf_of.as_ref().map(|of| format!(" for {of}"));
            let why = given.reason.as_ref().map(|why| format!(": {why}"));
            let (of, why) = (of.unwrap_or_default(), why.unwrap_or_default());
            output.line(clean(&format!("    {}{of} agreed{why}", given.by)))?;
        }
        for (who, parts) in &gate.excluded {
            let parts: Vec<&str> = parts.iter().map(|part| part.deed()).collect();
            let text = format!("    not {who}, who {}", parts.join(" and "));
            output.line(paint.tone(Tone::Dim, clean(&text)))?;
        }
    }
    output.line("")?;
    output.line("What changes:")?;
    for line in what_changes(content) {
        output.line(clean(&format!("  {line}")))?;
    }
    plan_text::resources(output, content)?;
    if let Some(changed) = changed {
        output.line("")?;
        let text = format!("Changed since {} was asked for:", changed.before);
        output.line(paint.tone(Tone::Warn, text))?;
        let operations = changed.patch.as_array().map(Vec::as_slice).unwrap_or_default();
        for operation in operations.iter().take(CHANGES_SHOWN_MAX) {
            output.line(clean(&format!("  {operation}")))?;
        }
        if let Some(more) = operations.len().checked_sub(CHANGES_SHOWN_MAX).filter(|it| *it > 0) {
            output.line(format!("  and {more} more; `-o json` has all"))?;
        }
    }
    output.line("")?;
    output.line(waiting.plan.to_string())?;
    if let Some(reason) = not_yours {
        output.note(clean(&format!("not yours to approve: {reason}")))?;
    }
    Ok(())
}

/// What a plan changes of the set that runs, a line each.
fn what_changes(plan: &Plan) -> Vec<String> {
    let Some(previous) = &plan.previous else {
        return vec!["nothing runs there yet".to_owned()];
    };
    let Delta { workloads, resources } = &previous.delta;
    let mut lines = Vec::new();
    let added = workloads.add.keys().chain(resources.add.keys());
    lines.extend(added.map(|name| format!("+ {name}")));
    let patches = workloads.update.iter().chain(&resources.update);
    for (name, patch) in patches {
        for operation in &patch.0 {
            let json = serde_json::to_value(operation).unwrap_or_default();
            let field = |name: &str| json.get(name).cloned().unwrap_or_default();
            let (op, path) = (field("op"), field("path"));
            let path = path.as_str().unwrap_or_default();
            lines.push(match op.as_str() {
                Some("remove") => format!("- {name}{path}"),
                _ => format!("~ {name}{path} = {}", field("value")),
            });
        }
    }
    let gone = workloads.remove.iter().chain(&resources.remove);
    lines.extend(gone.map(|name| format!("- {name}")));
    if lines.is_empty() {
        lines.push("nothing of the set".to_owned());
    }
    lines
}

async fn withdraw(context: &mut Context<'_>, args: ApprovalsWithdrawArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Active).await?;
    let plan = client.approval(&id).await?.waiting.plan;
    let decision = ApprovalDecision::Withdraw;
    let request = ApprovalRequest { plan, decision, reason: args.reason };
    let record = client.decide(&id, &request).await?;
    let output = &mut *context.output;
    if output.is_human() {
        let (environment, number) = (&record.environment, record.number);
        output.line(format!("Your approval of {environment} #{number} is taken back"))?;
    } else {
        output.document(&record)?;
    }
    Ok(exit::OK)
}

async fn delegate(context: &mut Context<'_>, args: ApprovalsDelegateArgs) -> Result<u8, CliError> {
    let until = args.until.at(context.output.now);
    let given = context.client()?.delegate(&args.to, &DelegateRequest { until }).await?;
    let output = &mut *context.output;
    if output.is_human() {
        output.line(clean(&format!("{} approves for {} until {until}", given.to, given.from)))?;
    } else {
        output.document(&given)?;
    }
    Ok(exit::OK)
}

async fn delegations(context: &mut Context<'_>) -> Result<u8, CliError> {
    let found = context.client()?.delegations().await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&found)?;
        return Ok(exit::OK);
    }
    if found.is_empty() {
        output.line("Nobody approves in anybody's place.")?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["who", "for", "until"]);
    for one in &found {
        table.row([clean(&one.to.0), clean(&one.from.0), one.until.to_string()]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}

pub(super) async fn reviews(
    context: &mut Context<'_>,
    command: ReviewsCommand,
) -> Result<u8, CliError> {
    match command {
        ReviewsCommand::List(args) => reviews_list(context, args).await,
        ReviewsCommand::Close(args) => close(context, args).await,
    }
}

async fn reviews_list(context: &mut Context<'_>, args: ReviewsListArgs) -> Result<u8, CliError> {
    let found = context.client()?.reviews(args.all).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&found)?;
        return Ok(exit::OK);
    }
    if found.is_empty() {
        output.line("Nothing is to be reviewed.")?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["deployment", "where", "by", "when", "why", "found"]);
    for one in &found {
        let finding = match (&one.reviewed_by, &one.finding) {
            (Some(by), Some(finding)) => (clean(&format!("{by}: {finding}")), Tone::Good),
            _ => ("open".to_owned(), Tone::Warn),
        };
        table.toned([
            (one.deployment.to_string(), Tone::Plain),
            (one.environment.to_string(), Tone::Strong),
            (clean(&one.by.0), Tone::Plain),
            (ago(one.at, output.now), Tone::Dim),
            (clean(&one.reason), Tone::Plain),
            finding,
        ]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}

async fn close(context: &mut Context<'_>, args: ReviewsCloseArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Newest).await?;
    let review = client.review(&id, &ReviewRequest { finding: args.finding }).await?;
    let output = &mut *context.output;
    if output.is_human() {
        output.line(format!("The review of {} is closed", review.deployment))?;
    } else {
        output.document(&review)?;
    }
    Ok(exit::OK)
}
