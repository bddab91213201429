use deployd_runtime::{Daemon, Settings};
use deployd_engine::Caller;
use deployd_core::{Actor, secret::SecretValue, artifact::Artifact, Digest};
use futures::StreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn vertical() {
    tracing_subscriber::fmt().with_env_filter("info").init();
    let dir = tempfile::tempdir().unwrap();
    let practice = deployd_practice::Practice::start(Default::default()).await.unwrap();
    let settings = Settings { data_dir: dir.path().join("d"), listen: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
    let daemon = Daemon::start(&settings).await.unwrap();
    let engine = daemon.engine();
    let me = Caller::new(Actor("me".into()));
    engine.set_secret(&me, &"demo-cluster".parse().unwrap(), SecretValue::new(practice.kubeconfig().into_bytes())).await.unwrap();
    engine.set_secret(&me, &"ci-webhook".parse().unwrap(), SecretValue::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec())).await.unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../sample");
    let mut files = vec![];
    for d in ["config", "score"] { for e in std::fs::read_dir(format!("{root}/{d}")).unwrap() { let p = e.unwrap().path(); files.push(deployd_config::SourceFile { path: p.display().to_string(), text: std::fs::read_to_string(&p).unwrap() }); } }
    let docs = deployd_config::read(&files, &deployd_config::NoFiles).map_err(|e| { for x in &e { eprintln!("{x}"); } }).unwrap();
    let docs: Vec<_> = docs.into_iter().map(|d| d.document).collect();
    let applied = engine.apply(&me, docs, false).await.unwrap();
    eprintln!("{applied:#?}");
    let art = |n: &str| Artifact { repository: format!("registry.example.com/shop/{n}"), digest: Digest::of(n.as_bytes()), tag: None, git_ref: Some("refs/heads/main".into()), commit: None, build_url: None };
    let a = engine.announce(&me, vec![art("frontend")]).await.unwrap();
    eprintln!("{:?}", a.routes);
    let a = engine.announce(&me, vec![art("backend")]).await.unwrap();
    eprintln!("{:?}", a.routes);
    let id = a.routes[0].deployment.clone().unwrap();
    let mut watch = std::pin::pin!(engine.watch(&id));
    while let Some(u) = watch.next().await {
        let u = u.unwrap();
        for l in u.logs { eprintln!("  {} {}: {}", l.at, l.step, l.message); }
        if let Some(r) = u.record { eprintln!("phase {:?} outcome {:?} fault {:?}", r.phase, r.outcome, r.fault); }
    }
    for r in engine.resources(&"shop/development".parse().unwrap()).await.unwrap() { eprintln!("{} {}", r.name, r.outputs); }
    let m = engine.manifests(&id).await.unwrap();
    eprintln!("{} objects", m.objects.len());
    eprintln!("{:#?}", engine.verify().await.unwrap());
    for m in engine.messages(None, None, 20).await.unwrap() { eprintln!("{} {:?} {:?}", m.event["type"], m.status, m.attempts); }
    daemon.stop().await;
}
