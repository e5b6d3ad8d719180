//! Writes the generated code of `kandinsky-client` from the contract: `cargo run -p codegen`.
//!
//! The messages and the client's stubs go to `src/generated`, the server's stubs, which only tests need, to
//! `tests/generated`. protox reads the protos, so that no protoc is needed, neither here nor where the crate is built.

use std::error::Error;
use std::fs;
use std::path::Path;

const PACKAGE: &str = ".kandinsky_api.v1";
const FILES: [&str; 6] = ["errors", "events", "image", "prior", "server", "types"];
/// The messages that embedding files hold as JSON.
const AS_JSON: [&str; 3] = ["PriorSampling", "Receipt", "Timings"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let protos = root.join("../../proto");
    let files = FILES.map(|name| format!("kandinsky_api/v1/{name}.proto"));
    let descriptors = protox::compile(files, [protos])?;

    // BTreeMap, so that the entries of a map are written in the same order every time.
    let client = tonic_prost_build::configure()
        .build_server(false)
        .bytes(".")
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .out_dir(folder(&root.join("src/generated"))?);
    json(client).compile_fds(descriptors.clone())?;

    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(PACKAGE, "::kandinsky_client::v1")
        .emit_rerun_if_changed(false)
        .out_dir(folder(&root.join("tests/generated"))?)
        .compile_fds(descriptors)?;
    Ok(())
}

fn folder(path: &Path) -> Result<&Path, std::io::Error> {
    fs::create_dir_all(path)?;
    Ok(path)
}

/// Gives messages protobuf's JSON form: names as in the contract, no defaults, int64 and durations as text.
fn json(mut builder: tonic_prost_build::Builder) -> tonic_prost_build::Builder {
    for message in AS_JSON {
        let path = format!("{PACKAGE}.{message}");
        builder = builder
            .type_attribute(&path, "#[derive(::serde::Serialize, ::serde::Deserialize)]")
            .type_attribute(&path, "#[serde(default)]")
            .field_attribute(&path, r#"#[serde(skip_serializing_if = "crate::json::is_default")]"#);
    }
    let texts = [("Receipt.seed", "int64"), ("PriorSampling.seed", "optional"), ("Timings", "optional")];
    for (path, form) in texts {
        let attribute = format!(r#"#[serde(with = "crate::json::{form}")]"#);
        builder = builder.field_attribute(format!("{PACKAGE}.{path}"), attribute);
    }
    builder
}
