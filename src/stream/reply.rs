//! Taking answers of Redis apart by moving them. Knows the forms of RESP2 and RESP3.

use redis::{ErrorKind, RedisError, Value};

/// An answer of another form than the command's documentation says.
pub(super) fn unexpected(what: &str) -> RedisError {
    (ErrorKind::UnexpectedReturnType, "the answer has another form than expected", what.to_owned()).into()
}

/// The bytes of a string of any form.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        _ => None,
    }
}

/// The text of a string of any form.
pub(super) fn text(value: Value) -> Option<String> {
    bytes(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A number that is not negative.
pub(super) fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

/// The elements of a list; nothing is an empty list.
pub(super) fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Some(items),
        Value::Nil => Some(Vec::new()),
        _ => None,
    }
}

/// Names and values, whether they came as a map or as a flat list, each made by `convert`; nothing is an empty map.
/// `None` if the form is another, or `convert` gives nothing.
pub(super) fn pairs<T>(value: Value, convert: impl Fn(Value, Value) -> Option<T>) -> Option<Vec<T>> {
    if let Value::Map(pairs) = value {
        return pairs.into_iter().map(|(name, value)| convert(name, value)).collect();
    }
    let flat = items(value)?;
    if flat.len() % 2 != 0 {
        return None;
    }
    let mut flat = flat.into_iter();
    std::iter::from_fn(|| flat.next().zip(flat.next())).map(|(name, value)| convert(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).unwrap()
    }

    #[test]
    fn maps_come_flat_or_as_maps() {
        let texts = |reply| pairs(parsed(reply), |name, value| Some((text(name)?, text(value)?)));
        let want = Some(vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        assert_eq!(texts("*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n2\r\n"), want);
        assert_eq!(texts("%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n2\r\n"), want);
        assert_eq!(texts("*-1\r\n"), Some(vec![]));
        assert_eq!(texts("*1\r\n$1\r\na\r\n"), None);
        assert_eq!(texts(":1\r\n"), None);
    }

    #[test]
    fn numbers_are_never_negative() {
        assert_eq!(count(&Value::Int(7)), Some(7));
        assert_eq!(count(&Value::Int(-1)), None);
        assert_eq!(count(&Value::BulkString(b"7".to_vec())), Some(7));
        assert_eq!(count(&Value::Nil), None);
    }
}
