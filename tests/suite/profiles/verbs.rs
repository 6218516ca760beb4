//! `portplex profile`: JSON as promised, exit codes, and what stands where.

use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Runs in `dir`: exit code, standard output, standard error.
fn profile(dir: &TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portplex"));
    command.arg("profile").args(arguments).current_dir(dir.path()).env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    let output = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn parsed(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    serde_json::from_str(text).expect("JSON")
}

fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("written");
    }
    dir
}

const SHARED: &str = "GLOBALCONFIG XCFGRPID 07\nIPCONFIG SYSPLEXROUTING DYNAMICXCF 9.1.1.1 255.255.255.0 1\nVIPADYNAMIC\n\
                      VIPADEFINE 255.255.255.0 10.1.1.1\nVIPABACKUP 9 10.1.1.2\n\
                      VIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 20-21 DESTIP ALL\nENDVIPADYNAMIC\n\
                      PORT 4035 TCP RSED 20 TCP FTP 21 TCP FTP 8443 TCP WEB\nUDPCONFIG EPHEMERALPORTS 1024 1151\n";

#[test]
fn show_is_one_object_with_the_promised_keys() {
    let dir = files(&[("a.profile", SHARED)]);
    let (code, stdout, stderr) = profile(&dir, &["show", "a.profile", "--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("{\"profile\":\"a.profile\",\"structure\":\"EZBEPORT0107\",\"dvipas\":[{\"dvipa\":\"10.1.1.1\",\"role\":\"define\",\"rank\":null,\"sysplexports\":true,\"ports\":["), "{stdout}");
    let shown = parsed(&stdout);
    let expected = json!([
        {"dvipa": "10.1.1.1", "role": "define", "rank": null, "sysplexports": true, "ports": [20, 21, 4035], "method": "BASEWLM"},
        {"dvipa": "10.1.1.2", "role": "backup", "rank": 9, "sysplexports": false, "ports": [], "method": null},
    ]);
    assert_eq!(shown["dvipas"], expected);
    let tcp = json!({
        "count": 64_510,
        "ranges": [[1024, 4034], [4036, 8442], [8444, 65_535]],
        "whole_groups": 1_006,
        "partial": [{"group": 63, "mask": "0xfffffffffffffff7"}, {"group": 131, "mask": "0xf7ffffffffffffff"}],
    });
    assert_eq!(shown["tcp"], tcp);
    assert_eq!(shown["udp"], json!({"count": 128, "ranges": [[1024, 1151]], "whole_groups": 2, "partial": []}));
    let keys: Vec<&String> = shown.as_object().expect("an object").keys().collect();
    assert_eq!(keys.len(), 5);

    let (_, stdout, _) = profile(&dir, &["show", "a.profile", "--vtam-group", "11"]);
    for part in ["EZBEPORT1107", "10.1.1.1", "20-21 4035", "64510, 1006 whole groups and 2 partial", "4036-8442"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
}

#[test]
fn check_is_one_object_with_the_promised_keys_and_its_exit_code_tells_errors() {
    let bad = "PORT 80 TPC WEB 81 TCP WEB\n\nTCPCONFIG FROBNICATE\n";
    let dir = files(&[("good.profile", SHARED), ("bad.profile", bad), ("bom.profile", "\u{feff}PORT 80 TCP WEB")]);
    let (code, stdout, _) = profile(&dir, &["check", "good.profile", "--json"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "{\"diagnostics\":[],\"advice\":[]}\n"));

    let (code, stdout, _) = profile(&dir, &["check", "bad.profile", "--json"]);
    assert_eq!(code, Some(1));
    assert!(stdout.starts_with("{\"diagnostics\":[{\"profile\":\"bad.profile\",\"line\":1,\"column\":9,\"severity\":\"error\",\"code\":\"bad-value\",\"message\":\"TPC is not TCP or UDP\",\"hint\":\"\"}"), "{stdout}");
    let shown = parsed(&stdout);
    assert_eq!(shown["diagnostics"][1]["severity"], "warning");
    assert_eq!(shown["advice"], json!([]));
    let (code, stdout, _) = profile(&dir, &["check", "bom.profile", "--json"]);
    assert_eq!(
        (code, &parsed(&stdout)["diagnostics"][0]["severity"]),
        (Some(0), &json!("warning")),
        "of two severities"
    );

    let (code, stdout, stderr) = profile(&dir, &["check", "bad.profile"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "findings are results");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], "bad.profile:1:9: error: TPC is not TCP or UDP [bad-value]");
    assert_eq!(lines[2], "1 profile, EZBEPORT: 1 error, 1 warning, no advice");
    let (code, _, stderr) = profile(&dir, &["show", "bad.profile"]);
    assert!(code == Some(1) && stderr.contains("bad.profile:1:9: error"), "{stderr}");
}

#[test]
fn advice_has_its_keys_and_an_error_among_it_counts() {
    let without = SHARED.replace("SYSPLEXPORTS ", "");
    let dir =
        files(&[("s1.a.profile", SHARED), ("s2.profile", &without.replace("9.1.1.1", "9.1.1.2")), ("e", "A=1\n")]);
    let (code, stdout, _) = profile(&dir, &["check", "s1.a.profile", "s2.profile", "--json"]);
    assert_eq!(code, Some(1));
    let shown = parsed(&stdout);
    let first = &shown["advice"][0];
    assert_eq!((&first["rule"], &first["severity"]), (&json!("sysplexports-differ"), &json!("error")));
    assert_eq!(first["profiles"], json!(["s2.profile", "s1.a.profile"]));
    let keys: Vec<&String> = first.as_object().expect("an object").keys().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert!(first["why"].as_str().is_some_and(|why| why.contains("10.1.1.1")) && first["source"].is_string());

    let robin =
        SHARED.replace("SYSPLEXPORTS", "SYSPLEXPORTS DISTM ROUNDROBIN").replace("DESTIP ALL", "DESTIP 9.1.1.1 9.1.1.2");
    let robin = robin.replace("4035", "4999");
    fs::write(dir.path().join("r.profile"), robin).expect("written");
    let rules = |more: &[&str]| {
        let arguments = [&["check", "r.profile", "--json"], more].concat();
        let (_, stdout, stderr) = profile(&dir, &arguments);
        let shown = parsed(&stdout);
        assert_eq!(stderr, "");
        let rules =
            shown["advice"].as_array().expect("advice").iter().map(|advice| advice["rule"].as_str().map(str::to_owned));
        rules.flatten().collect::<Vec<_>>()
    };
    assert!(rules(&[]).is_empty());
    assert_eq!(rules(&["--daemon-port", "4999"]), ["roundrobin-even"]);
    assert_eq!(rules(&["--daemon-port", "4999", "--clients-encrypted", "no"]), ["roundrobin-even"]);
    assert!(rules(&["--daemon-port", "4999", "--clients-encrypted", "yes"]).is_empty());
    let with_env = rules(&["--daemon-port", "4999", "--clients-encrypted", "yes", "--rse-env", "e"]);
    assert_eq!(with_env, ["rse-ddvipa-off", "rse-nonzero-port"]);
}

#[test]
fn data_sets_are_obeyed_in_order_by_one_stack() {
    let without = SHARED.replace("SYSPLEXPORTS ", "").replace(" 20-21", "").replace("20 TCP FTP 21 TCP FTP ", "");
    let delete = "VIPADYNAMIC VIPADISTRIBUTE DELETE 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC";
    let define = "VIPADYNAMIC\nVIPADISTRIBUTE SYSPLEXPORTS 10.1.1.1 PORT 4035 DESTIP ALL ENDVIPADYNAMIC";
    let both = format!("{delete}\n{define}");
    let dir = files(&[("p", &without), ("delete", delete), ("define", define), ("both", &both)]);
    let shared = |obey: &[&str]| {
        let (code, stdout, _) = profile(&dir, &[&["show", "p", "--json"], obey].concat());
        (code, parsed(&stdout)["dvipas"][0]["sysplexports"].as_bool())
    };
    assert_eq!(shared(&[]), (Some(0), Some(false)));
    assert_eq!(shared(&["--obey", "delete", "define"]), (Some(0), Some(true)));
    assert_eq!(shared(&["--obey", "delete", "--obey", "define"]), (Some(0), Some(true)));
    assert_eq!(shared(&["--obey", "both"]), (Some(1), Some(false)));
    let (code, stdout, _) = profile(&dir, &["check", "p", "--obey", "both", "--json"]);
    let shown = parsed(&stdout);
    let found = &shown["diagnostics"][0];
    assert_eq!(
        (code, &found["profile"], &found["line"], &found["code"]),
        (Some(1), &json!("both"), &json!(3), &json!("late-sysplexports"))
    );

    let (code, _, stderr) = profile(&dir, &["check", "p", "both", "--obey", "define"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--obey needs exactly one FILE, 2 were given"), "{stderr}");
}

#[test]
fn mistakes_have_their_exit_codes() {
    let dir = files(&[("p", "")]);
    for arguments in [
        &["check", "missing"][..],
        &["show", "missing"],
        &["show", "p", "--obey", "missing"],
        &["check", "p", "--rse-env", "missing"],
    ] {
        let (code, stdout, stderr) = profile(&dir, arguments);
        assert_eq!((code, stdout.as_str()), (Some(74), ""), "{arguments:?}");
        assert!(stderr.contains("missing: cannot be read"), "{stderr}");
    }
    for arguments in [
        &["check"][..],
        &["show"],
        &["show", "p", "p"],
        &["check", "p", "--clients-encrypted", "perhaps"],
        &["check", "p", "--vtam-group", "32"],
        &["check", "p", "--daemon-port", "0"],
        &["check", "p", "--worker-elsewhere", "x"],
    ] {
        assert_eq!(profile(&dir, arguments).0, Some(2), "{arguments:?}");
    }
    let (code, stdout, _) = profile(&dir, &["check", "p"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "1 profile, EZBEPORT: 0 errors, 0 warnings, no advice\n"));
}
