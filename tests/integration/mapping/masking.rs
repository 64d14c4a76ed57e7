//! What is masked is nowhere to be read: not in its column, nor in dead letters, log streams or the process's own log.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{add, setting};
use crate::support::database::Kind;
use crate::support::pipeline::run_pipeline;
use crate::thing::{DEADLINE, Setting, reads};
use crate::workload::{done, redis_yaml};

const KEY: &str = "a key of the test's";

fn hash(text: &str) -> String {
    let mut keyed = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    keyed.update(text.as_bytes());
    hex::encode(keyed.finalize().into_bytes())
}

/// Runs the pipeline until so many events are done, and looks for what begins with `secret` in all that it left.
async fn run_silently(setting: &mut Setting, stream: &str, events: u64) {
    let pipeline = setting.start(&format!("{stream}log: {{level: trace, per_event: true}}\n"));
    done(&setting.database, "stream:thing", events, DEADLINE).await;
    reads(&pipeline).await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    let mut left = vec![pipeline.stdout(), pipeline.stderr()];
    left.extend(setting.rows("SELECT * FROM write_behind_dead_letter").await);
    left.push(log_streams(setting).await);
    let kind = setting.database.kind();
    for text in left {
        let secret = text.to_lowercase().find("secret");
        assert_eq!(secret.map(|at| &text[at.saturating_sub(200)..text.len().min(at + 60)]), None, "{kind:?}");
    }
}

/// Everything in them.
async fn log_streams(setting: &mut Setting) -> String {
    let mut said = String::new();
    for name in ["success_insert", "failed_insert", "success_rdbms", "failed_rdbms"] {
        let mut command = redis::cmd("XRANGE");
        command.arg(format!("stream:{}", name.replace("insert", "inserts"))).arg("-").arg("+");
        let entries: Vec<(String, Vec<String>)> = command.query_async(&mut setting.connection).await.unwrap();
        said.push_str(&format!("{name}: {entries:?}\n"));
    }
    said
}

async fn letters(setting: &Setting) -> Vec<String> {
    setting.rows("SELECT error_class, doc_key, document, message FROM write_behind_dead_letter ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_dead_letters_are_masked() {
    let stream = format!(
        r#"    mask_key: "{KEY}"
    mode: upsert
    key: [id]
    key_pattern: "person:{{mail}}"
    columns:
      id: {{from: $key.mail, mask: hash}}
      mail: {{from: contact.mail, mask: hash}}
      phone: {{from: contact.phone, mask: last4, default: none}}
      note: {{from: note, mask: redact}}
      age: {{from: age, mask: redact}}
      size: size
"#
    );
    for kind in Kind::ALL {
        let bytes = if kind == Kind::Postgres { "bytea" } else { "blob" };
        let exact = if kind == Kind::MariaDb { " CHARACTER SET ascii" } else { "" };
        let table = format!(
            "CREATE TABLE thing (id char(64){exact} PRIMARY KEY, mail {bytes}, phone varchar(12), note varchar(9), \
             age int, size int, CHECK (phone <> '******0000'))"
        );
        let mut setting = setting(kind, &[&table]).await;
        let person = |mail: &str, phone: &str, size: &str| {
            format!(
                r#"{{"contact": {{"mail": {mail}, "phone": {phone}}}, "note": "secret note", "age": 36, "size": {size}}}"#
            )
        };
        let mail = r#""secret@example.org""#;
        let documents = [
            ("insert", "person:secret1", person(mail, r#""secret1234""#, "1")),
            ("update", "person:secret1", person(mail, "491234", "2")),
            ("insert", "person:secret2", person("null", "null", "3")),
            ("insert", "person:secret3", person(mail, "null", "4")),
            ("delete", "person:secret3", String::new()),
            ("insert", "person:secret4", r#"{"size": 5}"#.to_owned()),
            // Dead by the mapping.
            ("insert", "person:secret5", person(mail, r#""secret12345""#, r#""big""#)),
            ("insert", "person:secret6", person(r#"{"deep": "secret"}"#, "1", "6")),
            ("insert", "person:secret7", person(mail, r#""secret, and long""#, "7")),
            ("insert", "person:secret8", r#"{"note": "secret"#.to_owned()),
            ("insert", "secret9", person(mail, "1", "9")),
            // Dead by the database.
            ("insert", "person:secret10", person(mail, r#""secret0000""#, "10")),
        ];
        let entries =
            documents.each_ref().map(|(op, key, document)| [("op", *op), ("key", *key), ("payload", document)]);
        add(&mut setting, &entries.iter().map(|entry| entry.as_slice()).collect::<Vec<_>>()).await;
        run_silently(&mut setting, &stream, documents.len() as u64).await;
        let hex = if kind == Kind::Postgres { "encode(mail, 'hex')" } else { "lower(hex(mail))" };
        let of_bytes = format!("CASE WHEN mail IS NOT NULL THEN {hex} END");
        let rows =
            setting.rows(&format!("SELECT id, {of_bytes}, phone, note, age, size FROM thing ORDER BY size")).await;
        let mail = hash("secret@example.org");
        let expected = [
            format!("{}|{mail}|**1234|***|NULL|2", hash("secret1")),
            format!("{}|NULL|NULL|***|NULL|3", hash("secret2")),
            format!("{}|NULL|none|NULL|NULL|5", hash("secret4")),
        ];
        assert_eq!(rows, expected, "{kind:?}");
        let letters = letters(&setting).await;
        let copy = |phone: &str, size: &str| {
            format!(r#"{{"age":"***","contact":{{"mail":"{mail}","phone":"{phone}"}},"note":"***","size":{size}}}"#)
        };
        let told = |key: &str, document: &str, class: &str, what: &str| {
            format!(
                "{class}|person:{}|{document}|{what}; values are not shown, because the stream has masks",
                hash(key)
            )
        };
        let by_mapping = [
            told(
                "secret5",
                &copy("*******2345", r#""big""#),
                "wrong_type",
                "column `size`: the value is of another type",
            ),
            told(
                "secret6",
                r#"{"age":"***","contact":{"mail":"***","phone":"*"},"note":"***","size":6}"#,
                "wrong_type",
                "column `mail`: the value is of another type",
            ),
            told("secret7", &copy("************long", "7"), "too_long", "column `phone`: the value is too long"),
            told("secret8", "***", "bad_json", "the document is no JSON object, or holds what is no character"),
            told(
                "secret9",
                &copy("*", "9"),
                "missing_key",
                "column `id`: there is no key, or it is not made up like key_pattern",
            )
            .replace(&format!("person:{}", hash("secret9")), "***"),
        ];
        assert_eq!(letters[..5], by_mapping, "{kind:?}");
        let by_database = format!("constraint|person:{}|{}|", hash("secret10"), copy("******0000", "10"));
        assert!(letters.len() == 6 && letters[5].starts_with(&by_database), "{kind:?}: {letters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_every_kind_are_masked() {
    const FIELDS: &[(&str, &str)] = &[("who", "secret1"), ("mail", "secret@x.org"), ("size", "big"), ("city", "Ulm")];
    const IN_KEY: &[(&str, &str)] = &[("key", "thing:1"), ("who", "Ada")];
    const PAYLOAD: &[(&str, &str)] =
        &[("key", "thing:1"), ("payload", r#"{"who": "secret3", "mail": ["secret@x.org"], "city": "Ulm"}"#)];
    let columns = "mail: {from: mail, mask: hash}, size: size, city: city";
    let cases = [
        (format!("    document: fields\n    columns: {{who: {{from: $field.who, mask: last4}}, {columns}}}\n"), FIELDS),
        (format!("    document: hash\n    columns: {{{columns}}}\n"), IN_KEY),
        ("    columns: {mail: {expr: '.mail | ascii_downcase', mask: hash}, city: city}\n".to_owned(), PAYLOAD),
        (
            "    reshape: '{mail: (.who | tonumber)}'\n    columns: {mail: {from: mail, mask: hash}}\n".to_owned(),
            PAYLOAD,
        ),
    ];
    for kind in Kind::ALL {
        for (stream, entry) in &cases {
            let table = "CREATE TABLE thing (who varchar(20), mail varchar(64), size int, city varchar(9))";
            let mut setting = setting(kind, &[table]).await;
            let mut hset = redis::cmd("HSET");
            hset.arg("thing:1").arg(&[("mail", "secret@x.org"), ("size", "big"), ("city", "Ulm")]);
            hset.query_async::<()>(&mut setting.connection).await.unwrap();
            add(&mut setting, &[entry]).await;
            run_silently(&mut setting, stream, 1).await;
            let [letter] = &letters(&setting).await[..] else { panic!("one dead letter of {stream}") };
            let is_whole = stream.contains("expr") || stream.contains("reshape");
            assert_eq!(letter.contains("|***|"), is_whole, "{kind:?}: {letter}");
            assert_eq!(letter.contains(r#""city":"Ulm""#), !is_whole, "{kind:?}: {letter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mask_cannot_be_put_over_is_refused_with_its_setting() {
    let table =
        "CREATE TABLE thing (id varchar(64) NOT NULL, short varchar(63), size int NOT NULL, at text, what text)";
    let mut setting = setting(Kind::Sqlite, &[table]).await;
    let check = async |columns: &str| {
        let stream = format!("streams:\n  thing:\n    key: [id]\n    columns: {columns}\n");
        let config = redis_yaml(setting.redis.port()) + &setting.database.settings_yaml() + &stream;
        (run_pipeline(&config, &["check"], "").await, config)
    };
    let (output, _) = check(
        "{id: {from: id, mask: redact}, short: {from: a, mask: hash}, size: {from: b, mask: redact}, \
         at: {from: $timestamp, mask: hash}, what: {value: x, mask: last4}}",
    )
    .await;
    for words in [
        "streams.thing.columns.id: `mask`: `id` is of the `key`, and rows could be found only by a `hash`",
        "streams.thing.columns.short: `mask: hash` writes 64 characters of text, or 32 bytes, which varchar(63) `short`",
        "streams.thing.columns.size: `mask: redact` writes NULL where no text fits, which INT `size` cannot hold",
        "streams.thing.columns.at: `mask` makes no secret of `$timestamp`, which the pipeline itself keeps as it is",
        "streams.thing.columns.what: `mask` makes no secret of the constant, which the settings hold as it is",
    ] {
        assert!((output.stdout.clone() + &output.stderr).contains(words), "{words}: {output:?}");
    }
    assert_eq!(output.code, Some(78), "{output:?}");

    let (output, config) = check("{id: {from: $key, mask: hash}, size: b}").await;
    assert!(output.stdout.contains("warning  streams.thing.mask_key is not set"), "{output:?}");
    assert_eq!(output.code, Some(0), "{output:?}");
    let inserted = run_pipeline(&config, &["insert", "thing", "--key", "secret1", r#"{"b": 1}"#], "").await;
    assert_eq!(inserted.code, Some(0), "{inserted:?}");
    let said = log_streams(&mut setting).await;
    assert!(said.contains(r#""key", "***""#) && !said.contains("secret1"), "{said}");
    run_silently(&mut setting, "    key: [id]\n    columns: {id: {from: $key, mask: hash}, size: b}\n", 1).await;
    assert_eq!(setting.rows("SELECT id FROM thing").await, [hex::encode(Sha256::digest("secret1"))]);
}

/// What tells of sampled events quotes nothing of them, whatever is wrong with them.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_schema_do_not_show_what_is_masked() {
    let table = "CREATE TABLE thing (id varchar(64), mail varchar(64), size int, sum int)";
    let mut setting = setting(Kind::Sqlite, &[table]).await;
    let stream = r#"streams:
  thing:
    key: [id]
    key_pattern: "person:{mail}"
    filter: '.size != 9 or (.mail | tonumber) > 0'
    columns:
      id: {from: $key.mail, mask: hash}
      mail: {from: mail, mask: hash}
      size: size
      sum: {expr: '.mail + .size'}
"#;
    let config = redis_yaml(setting.redis.port()) + &setting.database.settings_yaml() + stream;
    let documents = [
        ("person:secret1", r#"{"mail": {"deep": "secret"}, "size": {"a": "secret"}}"#),
        ("secret2", r#"{"mail": "", "size": ""}"#),
        ("person:secret3", r#"{"mail": "secret", "size": 3}"#),
        ("person:secret4", r#"{"mail": "secret", "size": 9}"#),
        ("person:secret5", r#"{"mail": "secret", "size": "secret"}"#),
        ("person:secret6", r#"{"mail": "secret"#),
    ];
    let entries = documents.map(|(key, document)| [("key", key), ("payload", document)]);
    add(&mut setting, &entries.each_ref().map(|entry| entry.as_slice())).await;
    add(&mut setting, &[&[("key", "person:secret7"), ("op", "secret")]]).await;
    for arguments in [&["check"][..], &["check", "--json"], &["schema", "print"], &["schema", "diff"]] {
        let output = run_pipeline(&config, arguments, "").await;
        let said = output.stdout.clone() + &output.stderr;
        assert!(said.contains("values are not shown, because the stream has masks"), "{arguments:?}: {output:?}");
        assert!(!said.contains("secret"), "{arguments:?}: {output:?}");
    }
    let applied = run_pipeline(&config, &["schema", "apply", "--yes"], "").await;
    assert!(!(applied.stdout.clone() + &applied.stderr).contains("secret"), "{applied:?}");
}
