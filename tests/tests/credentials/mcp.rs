//! An MCP client that knows an address and nothing else finds its way in.

use attach_tests::gateway::Builder;
use attach_tests::mint::Mint;
use attach_tests::peers::{Mcp, OidcProvider};
use attach_tests::request::Request;
use serde_json::json;

use crate::AUDIENCE;
use crate::site::Site;

#[test]
fn an_mcp_client_discovers_the_authorization_server_and_gets_through() {
    let provider = OidcProvider::with(AUDIENCE, "chat:run", &json!({}));
    let server = Mcp::start();
    let builder = Builder::new("mcp").set("OIDC_ISSUER", provider.url()).set("OIDC_AUD", AUDIENCE);
    let site = Site::start_with(builder, Mint::new(&provider.url(), AUDIENCE), &[], |builder| {
        builder.set("ENGINE_URL", server.url()).set("REQUIRED_SCOPES", "chat:run")
    });
    let url = format!("{}/mcp", site.gateway.url());
    let found = Mcp::client(&url, "alice");
    assert_eq!(found["whoami"], "alice", "{found:#}");
    assert_eq!(found["tools"], json!(["whoami"]), "{found:#}");
    let servers = found["authorization_servers"].as_array().expect("servers");
    assert!(
        servers
            .iter()
            .any(|server| server.as_str().map(|url| url.trim_end_matches('/')) == Some(&provider.url()))
    );
    assert!(found["asked"]["scope"].to_string().contains("chat:run"), "{found:#}");
    assert!(found["asked"]["resource"].to_string().contains(&site.gateway.url()), "{found:#}");
    assert!(found["asked"]["code_challenge"].is_array(), "{found:#}");

    // It was refused, looked where the refusal told it to, and nowhere else at the gateway.
    let seen: Vec<(String, u64)> = found["seen"]
        .as_array()
        .expect("requests")
        .iter()
        .map(|one| (one[1].as_str().expect("a URL").to_owned(), one[2].as_u64().expect("a status")))
        .collect();
    assert_eq!(seen[0], (url.clone(), 401), "{seen:#?}");
    let metadata = seen.iter().find(|(url, _)| url.contains("oauth-protected-resource")).expect("metadata");
    assert_eq!(metadata.1, 200, "{seen:#?}");
}

#[test]
fn every_refusal_says_where_the_metadata_is_and_it_is_there() {
    let site = Site::start("metadata", &[], |builder| builder.set("REQUIRED_SCOPES", "chat:run"));
    let lacking = site.mint.token("alice");
    for (request, status) in [
        (Request::get("/mcp"), 401),
        (Request::get("/mcp").bearer("garbage"), 401),
        (Request::get("/mcp").bearer(&lacking), 403),
        (Request::post("/auth/token", ""), 401),
    ] {
        let response = site.send(&request).expect(status);
        let challenge = response.headers.one("www-authenticate").expect("a challenge");
        let (_, rest) = challenge.split_once("resource_metadata=\"").unwrap_or_else(|| panic!("{challenge}"));
        let (address, _) = rest.split_once('"').expect("its end");
        let path = address.strip_prefix(&site.gateway.url()).unwrap_or_else(|| panic!("{address}"));
        let metadata = site.send(&Request::get(path)).expect(200).json();
        assert_eq!(metadata["authorization_servers"], json!([site.mint.issuer]), "{metadata}");
    }
    for (path, resource) in [("", ""), ("/mcp", "/mcp"), ("/agents/planner/mcp", "/agents/planner/mcp")] {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let response = site.send(&Request::get(&path)).expect(200);
        assert_eq!(response.headers.one("content-type"), Some("application/json"));
        let metadata = response.json();
        assert_eq!(metadata["resource"], format!("{}{resource}", site.gateway.url()), "{path}");
        assert_eq!(metadata["scopes_supported"], json!(["chat:run"]), "{path}");
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]), "{path}");
    }
}
