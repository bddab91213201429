use clap::{CommandFactory as _, Parser as _};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

fn client(line: &str) -> ClientCommand {
    match parse(line).unwrap().command {
        Command::Client(command) => command,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_line_and_examples() {
    fn check(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.contains('\n'), "{path}: {about:?}");
            if sub.has_subcommands() {
                check(sub, &path);
            } else if sub.get_positionals().next().is_some() {
                let after = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                // `notifications show ID` and the like need none.
                let plain = ["show", "redeliver", "revoke"].contains(&sub.get_name());
                assert!(plain || after.contains("Examples:"), "{path}");
            }
        }
    }
    let mut command = Cli::command();
    command.build();
    check(&command, "deployd");
    assert!(command.render_help().to_string().contains("Exit codes:"));
}

#[test]
fn lines_that_are_right() {
    for line in [
        "deployd serve --data d --listen 127.0.0.1:0 --log-format json",
        "deployd demo --once --kubeconfig f --context c",
        "deployd doctor -o json",
        "deployd restore b --data d",
        "deployd apply -f a b -f - --dry-run",
        "deployd validate -f a",
        "deployd deploy shop/dev",
        "deployd deploy shop/dev --image web=x --image api/app=y -m why --no-watch",
        "deployd plan shop/dev --set set.yaml --brief",
        "deployd rehearse shop/dev",
        "deployd rehearse shop/dev --strategy canary --config a=1 --config b=x --scenario f --expect completed --expect failed-requests<1% --image web=x",
        "deployd history",
        "deployd history shop/dev --limit 500 --cursor 9",
        "deployd logs x -f --after 3",
        "deployd manifests shop/dev --out d --force -o json",
        "deployd export shop/dev#3 --out f --without-plugins --force",
        "deployd export verify f -o json",
        "deployd import f",
        "deployd import",
        "deployd import --manifests a - --environment shop/dev --namespace n --out d --force",
        "deployd adopt a b - --environment shop/dev",
        "deployd envs",
        "deployd env shop/dev",
        "deployd drift shop/dev --last -o json",
        "deployd drift shop/dev --heal",
        "deployd documents --kind environment",
        "deployd schema all",
        "deployd schema Environment",
        "deployd notifications list --status dead",
        "deployd notifications redeliver msg_1",
        "deployd notifications redeliver --dead --subscription ci",
        "deployd secret set key --from-file f",
        "deployd secret link key vault:kv/shop/db#password",
        "deployd secret keys",
        "deployd secret rotate-key",
        "deployd plugin push c.wasm --manifest plugin.toml",
        "deployd token create ci --scope ci",
        "deployd journal list --kind secret-revealed --limit 5",
        "deployd journal verify --offline f",
        "deployd journal export --out f --after 3",
        "deployd journal export --stream configuration --from 2 --to 3",
        "deployd completions zsh",
        "deployd whoami --server http://x --timeout 5 -q --no-color --idempotency-key k",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn lines_that_are_wrong() {
    for line in [
        "deployd",
        "deployd nonsense",
        "deployd apply",
        "deployd deploy",
        "deployd deploy shop",
        "deployd deploy Shop/dev",
        "deployd deploy shop/dev --set a --delta b",
        "deployd deploy shop/dev --image web",
        "deployd deploy shop/dev --expect-plan sha256:0",
        "deployd demo --context c",
        "deployd restore b",
        "deployd history --limit 0",
        "deployd history --limit 501",
        "deployd documents --kind Nothing",
        "deployd artifact announce web:1",
        "deployd secret set key value",
        "deployd secret link key value",
        "deployd token create ci",
        "deployd token create ci --scope root",
        "deployd notifications list --status lost",
        "deployd notifications redeliver",
        "deployd notifications redeliver msg_1 --dead",
        "deployd notifications redeliver msg_1 --subscription ci",
        "deployd manifests x/y/z",
        "deployd export",
        "deployd export --out f",
        "deployd import f --manifests a --environment shop/dev",
        "deployd import --manifests a",
        "deployd import --environment shop/dev",
        "deployd adopt a",
        "deployd adopt --environment shop/dev",
        "deployd journal export --from 3",
        "deployd journal export --stream a --after 3",
        "deployd whoami --timeout 0",
        "deployd whoami -o xml",
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn watching_is_the_default_and_the_last_word_counts() {
    for (line, expected) in [
        ("deployd deploy a/b", true),
        ("deployd deploy a/b --watch", true),
        ("deployd deploy a/b --no-watch", false),
        ("deployd deploy a/b --no-watch --watch", true),
        ("deployd deploy a/b --watch --no-watch", false),
    ] {
        let ClientCommand::Deploy(args) = client(line) else { panic!("{line}") };
        assert_eq!(args.watching.wanted(), expected, "{line}");
    }
}

#[test]
fn tokens_are_in_no_debug_output() {
    let cli = parse("deployd whoami --token dpl_hunter2").unwrap();
    assert_eq!(cli.globals.token.as_ref().unwrap().expose(), "dpl_hunter2");
    assert!(!format!("{cli:?}").contains("hunter2"));
}
