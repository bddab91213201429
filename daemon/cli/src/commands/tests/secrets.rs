//! Secrets and their keys.

use super::*;

#[tokio::test]
async fn secrets_travel_as_they_are_and_are_never_shown() {
    for (input, sent) in
        [("hunter2\n", "hunter2"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")]
    {
        let daemon = Daemon::new([Answer::new(204, "")]).await;
        let ran = ran(&daemon, &["secret", "set", "key"], input).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        let seen = daemon.seen();
        assert_eq!(
            (seen[0].line.as_str(), seen[0].body.as_slice()),
            ("PUT /v1/secrets/key", sent.as_bytes())
        );
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"));
    }
    let daemon = nobody().await;
    let cli =
        Cli::try_parse_from(["deployd", "--server", &daemon.url, "secret", "set", "key"]).unwrap();
    let Command::Client(command) = cli.command else { panic!() };
    let mut output = Output::to(
        Box::new(Buffer::default()),
        Box::new(Buffer::default()),
        Format::Human,
        Timestamp(0),
    );
    let mut input: &[u8] = b"typed";
    let context =
        Context { globals: &cli.globals, output: &mut output, input: &mut input, typed: true };
    assert_eq!(run_with(context, command).await, 2);
}

#[tokio::test]
async fn links_show_where_a_secret_is_kept_and_what_is_wrong_there() {
    let linked = json!({
        "name": "db", "from": "vault:kv/db#password",
        "problem": "secret operator/db can't be had: Vault is sealed",
    });
    let daemon = Daemon::new([Answer::json(200, &linked)]).await;
    let ran = ran(&daemon, &["secret", "link", "db", "vault:kv/db#password"], "").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("kept at vault:kv/db#password") && ran.err.contains("sealed"));
    let seen = daemon.seen();
    assert_eq!(seen[0].line, "PUT /v1/secrets/db/link");
    assert_eq!(seen[0].json(), json!({"from": "vault:kv/db#password"}));
}

#[tokio::test]
async fn secrets_and_their_keys_are_listed() {
    let all = json!([{"name": "a"}, {"name": "b", "from": "env:APP_B"}]);
    let daemon = Daemon::new([Answer::json(200, &all)]).await;
    let listed = ran(&daemon, &["secret", "list"], "").await;
    assert!(listed.out.contains("here") && listed.out.contains("env:APP_B"), "{}", listed.out);

    let report = json!({"settled": true, "keys": [
        {"id": "11", "from": "file secrets.key", "use": "newest"},
        {"id": "22", "from": "file secrets-22.key", "use": "removable"},
    ], "unreadable": ["operator/z"]});
    let daemon = Daemon::new([Answer::json(200, &report)]).await;
    let rotated = ran(&daemon, &["secret", "rotate-key"], "").await;
    assert_eq!((rotated.code, daemon.seen()[0].line.as_str()), (0, "POST /v1/secret-keys/rotate"));
    assert!(rotated.out.contains("secrets-22.key") && rotated.out.contains("removable"));
    assert!(rotated.err.contains("backups") && rotated.err.contains("operator/z"));

    let report = json!({"settled": false, "keys": [
        {"id": "11", "from": "variable KEY", "use": "newest"},
        {"id": "22", "from": "variable OLD", "use": "needed"},
    ]});
    let daemon = Daemon::new([Answer::json(200, &report)]).await;
    let keys = ran(&daemon, &["secret", "keys"], "").await;
    assert!(keys.out.contains("needed") && keys.err.contains("rotate-key"), "{}", keys.err);
}
