//! What the help says, and how wrong arguments end.

use super::{CONFIGURATION, SUCCESS, WRONG_ARGUMENTS, assert_parts, pipeline};

#[tokio::test]
async fn the_help_tells_commands_and_exit_codes() {
    let help = pipeline("", &["--help"]).await;
    assert_eq!(help.code, SUCCESS);
    assert_parts(&help.stdout, &["Exit codes:", "\n  1 ", "\n  2 ", "\n  69 ", "\n  70 ", "\n  78 ", "\n  130 "]);
    for command in [
        "run",
        "demo",
        "check",
        "schema",
        "explain",
        "test-mapping",
        "migrate",
        "generate",
        "insert",
        "metrics",
        "dead-letters",
    ] {
        assert_parts(&help.stdout, &[&format!("\n  {command} ")]);
        let help = pipeline("", &[command, "--help"]).await;
        assert_eq!(help.code, SUCCESS, "{help:?}");
        assert_parts(&help.stdout, &[&format!("Usage: pipeline {command}"), "--config"]);
    }
}

#[tokio::test]
async fn wrong_arguments_are_told_before_anything_is_done() {
    for args in [
        &["frob"][..],
        &["generate", "--events", "0"],
        &["generate", "--rate", "0"],
        &["insert"],
        &["insert", "user_action", "{}", "--op", "update"],
        &["insert", "user_action", "{}", "--op", "delete", "--key", "k"],
        &["insert", "user_action", "{}", "--local", "2"],
        &["insert", "user_action", "{}", "--replicas", "1"],
        &["insert", "user_action", "{}", "--durability", "wait", "--replicas", "1", "--local", "1"],
        &["insert", "user_action", "[1, 2]"],
        &["insert", "user_action", "{\"a\": "],
        &["migrate"],
        &["schema"],
        &["schema", "print", "--sample", "100001"],
        &["dead-letters", "show", "x"],
        &["test-mapping"],
        &["explain"],
        &["explain", "--stream", "x", "--id", "a-1"],
        &["explain", "--stream", "x", "--id", "1-1", "--last", "2"],
    ] {
        let output = pipeline("", args).await;
        assert_eq!(output.code, WRONG_ARGUMENTS, "{args:?}: {output:?}");
        assert!(output.stdout.is_empty() && output.stderr.starts_with("error: "), "{args:?}: {output:?}");
    }
}

#[tokio::test]
async fn an_unknown_setting_is_refused_with_the_nearest_name() {
    for command in ["run", "metrics", "generate"] {
        let output = pipeline("rdbms:\n  max_retrys: 3\n", &[command]).await;
        assert_eq!(output.code, CONFIGURATION, "{output:?}");
        let want = "error: rdbms.max_retrys: is not a setting: did you mean `rdbms.max_retries`?";
        assert_parts(&output.stderr, &[want]);
    }
}
