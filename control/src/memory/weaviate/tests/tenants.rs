use attach_core::mirror::tenant_of;

use super::*;

const T: u64 = 1_709_251_199_999;

#[tokio::test]
async fn each_owner_has_a_tenant_and_everybodys_are_read_together() {
    let Some(server) = Server::start("tenants", &[]).await else { return };
    let weaviate = server.weaviate(true);
    // What nobody has written is nothing, not an error.
    assert_eq!(weaviate.list(owner("alice"), page(10)).await, Ok(vec![]));
    assert_eq!(weaviate.search(owner("alice"), "fox".to_owned(), None, 10).await, Ok(vec![]));
    assert_eq!(weaviate.forget("alice".to_owned(), None).await, Ok(0));
    assert_eq!(weaviate.list(Reach::Everyone, page(10)).await, Ok(vec![]));

    let mut records = Vec::new();
    for n in 0..30_u64 {
        let name = ["alice", "bob", "§team"][n as usize % 3];
        records.push(record(&format!("k{n}"), event(name, T + n, &format!("fox {n}"))));
    }
    let first = records[0].object.id.clone();
    // Whoever queued it knew nothing of tenants.
    assert!(records.iter().all(|record| record.object.tenant.is_none()));
    assert_eq!(weaviate.put(records).await, Ok(vec![]));
    let mut tenants = weaviate.tenants().await.unwrap();
    tenants.sort();
    let mut expected = ["alice", "bob", "§team"].map(tenant_of).to_vec();
    expected.sort();
    assert_eq!(tenants, expected);

    for name in ["alice", "bob", "§team"] {
        let found = weaviate.list(owner(name), page(100)).await.unwrap();
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|stored| stored.event.owner == name));
        assert_eq!(weaviate.search(owner(name), "fox".to_owned(), None, 100).await.unwrap().len(), 10);
    }
    assert!(weaviate.get(owner("alice"), first.clone()).await.unwrap().is_some());
    assert_eq!(weaviate.get(owner("bob"), first.clone()).await, Ok(None));
    assert_eq!(weaviate.get(owner("carol"), first.clone()).await, Ok(None));
    assert!(weaviate.get(Reach::Everyone, first).await.unwrap().is_some());
    let newest = weaviate.list(Reach::Everyone, page(5)).await.unwrap();
    assert_eq!(contents(&newest), ["fox 29", "fox 28", "fox 27", "fox 26", "fox 25"]);
    assert_eq!(weaviate.search(Reach::Everyone, "fox".to_owned(), None, 100).await.unwrap().len(), 30);
    assert_eq!(weaviate.expire(UnixMillis(T + 6)).await, Ok(6));
    assert_eq!(weaviate.forget("bob".to_owned(), None).await, Ok(8));
    assert_eq!(weaviate.list(Reach::Everyone, page(100)).await.unwrap().len(), 16);

    let error = server.weaviate(false).prepare().await.unwrap_err();
    assert!(matches!(&error, Error::Refused(text) if text.contains("WEAVIATE_TENANCY")), "{error}");
}
