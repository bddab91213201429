use crate::samples::*;
use deployd_core::ports::Store as _;
use deployd_store::*;
#[tokio::test]
async fn smoke() {
    let d = tempfile::tempdir().unwrap();
    let p = d.path().join("s.redb");
    let s = RedbStore::open(&p, &StoreOptions::default()).unwrap();
    s.append(everything(1)).await.unwrap();
    println!("{:?} {:?}", s.verify().await.unwrap(), s.stats());
    s.backup(&d.path().join("b.redb")).await.unwrap();
    println!("{:?}", RedbStore::open(&p, &StoreOptions::default()).unwrap_err().to_string());
    s.close().await;
    let s = RedbStore::open(&p, &StoreOptions::default()).unwrap();
    println!("{:?} {:?}", s.verify().await.unwrap(), s.stats());
    println!("{:?}", restore(&d.path().join("b.redb"), &d.path().join("r.redb")).unwrap());
}
