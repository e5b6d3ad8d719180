//! gRPC metadata of calls.

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

use crate::Error;

/// Adds a pair that HTTP/2 can carry.
pub(crate) fn append(metadata: &mut MetadataMap, key: &str, value: &str) -> Result<(), Error> {
    let name = AsciiMetadataKey::from_bytes(key.as_bytes()).ok();
    let Some(name) = name.filter(|_| !key.starts_with("grpc-") && key == key.to_ascii_lowercase()) else {
        let kinds = "of a-z, 0-9, '-', '_' and '.', and start with 'grpc-' or end with '-bin' in no case";
        return Err(Error::argument(format!("metadata key {key:?} must be {kinds}")));
    };
    metadata.append(
        name,
        printable(value).ok_or(Error::argument(format!("metadata {key:?} must be printable ASCII")))?,
    );
    Ok(())
}

/// Adds the token of a caller; "" adds none.
pub(crate) fn bearer(metadata: &mut MetadataMap, token: &str) -> Result<(), Error> {
    if token != token.trim() {
        return Err(Error::argument(
            "token starts or ends with white space, such as a file's last newline; trim it",
        ));
    }
    let mut value = printable(&format!("Bearer {token}")).ok_or(Error::argument(
        "token must be printable ASCII: it holds a control character or a non-ASCII one",
    ))?;
    value.set_sensitive(true); // left out of debug output
    if !token.is_empty() {
        metadata.insert("authorization", value);
    }
    Ok(())
}

fn printable(value: &str) -> Option<AsciiMetadataValue> {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    plain.then(|| value.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_http_cannot_carry_is_refused() {
        let mut metadata = MetadataMap::new();
        for (key, value) in
            [("X-Team", "a"), ("grpc-timeout", "1S"), ("x-bin", "a"), ("ü", "a"), ("x", "a\nb"), ("x", "ü")]
        {
            assert!(append(&mut metadata, key, value).is_err(), "{key}: {value}");
        }
        append(&mut metadata, "traceparent", "00-1-2-01").unwrap();
        assert_eq!(metadata.len(), 1);
    }

    #[test]
    fn a_token_is_checked_and_kept_out_of_debug_output() {
        let mut metadata = MetadataMap::new();
        assert!(bearer(&mut metadata, "secret\n").is_err());
        assert!(bearer(&mut metadata, "s\u{fc}").is_err());
        bearer(&mut metadata, "").unwrap();
        assert!(metadata.is_empty());
        bearer(&mut metadata, "secret").unwrap();
        assert_eq!(metadata.get("authorization").unwrap(), "Bearer secret");
        assert!(!format!("{metadata:?}").contains("secret"));
    }
}
