//! `evidence` as its user runs it: exact objects for scripts, tables for people, files that cannot be read.

mod program;

use program::{example, run, stderr, stdout};
use std::fs;
use std::process::Output;

const CONSOLE: &str = "\
[    0.000000] Linux version 6.8.0 (documentation)\r
\x1b[0;32mci-info: \x1b[0m++++++++++++++++++++Net device info++++++++++++++++++++\r
ci-info: | Device  |   Up  |           Address          |      Mask     | Scope  |     Hw-Address    |\r
ci-info: | docker0 | False |         172.17.0.1         |  255.255.0.0  | global | 02:42:00:00:00:03 |\r
ci-info: |   ens3  |  True |        192.0.2.77          | 255.255.255.0 | global | 52:54:00:15:7A:E3 |\r
ci-info: |   ens3  |  True | fe80::5054:ff:fe15:7ae3/64 |       .       |  link  | 52:54:00:15:7A:E3 |\r
ci-info: |    lo   |  True |         127.0.0.1          |   255.0.0.0   |  host  |         .         |\r
";

const ARP: &str = "\
? (192.0.2.77) at 52:54:0:15:7a:e3 on bridge100 ifscope [bridge]
? (192.0.2.78) at (incomplete) on en0 ifscope [ethernet]
";

const LEASES: &str = "\
1700000000 52:54:00:15:7a:e3 192.0.2.77 fargo 01:52:54:00:15:7a:e3
0 52:54:00:15:7a:e4 192.0.2.78 * *
";

fn evidence(arguments: &[&str], input: &[u8]) -> Output {
    run(example("evidence").args(arguments), input)
}

#[test]
fn a_pipe_gets_one_object_per_file_and_line() {
    for (kind, text, object) in [
        (
            "console",
            CONSOLE,
            concat!(
                r#"{"file":"-","interfaces":["#,
                r#"{"name":"docker0","up":false,"ipv4":["172.17.0.1"],"ipv6":[],"mac":"02:42:00:00:00:03"},"#,
                r#"{"name":"ens3","up":true,"ipv4":["192.0.2.77"],"ipv6":["fe80::5054:ff:fe15:7ae3/64"],"mac":"52:54:00:15:7a:e3"},"#,
                r#"{"name":"lo","up":true,"ipv4":["127.0.0.1"],"ipv6":[],"mac":null}],"#,
                r#""primary_ipv4":"192.0.2.77","primary_mac":"52:54:00:15:7a:e3"}"#,
            ),
        ),
        (
            "arp",
            ARP,
            concat!(
                r#"{"file":"-","entries":[{"ip":"192.0.2.77","mac":"52:54:00:15:7a:e3","interface":"bridge100"},"#,
                r#"{"ip":"192.0.2.78","mac":null,"interface":"en0"}]}"#,
            ),
        ),
        (
            "leases",
            LEASES,
            concat!(
                r#"{"file":"-","leases":[{"ip":"192.0.2.77","mac":"52:54:00:15:7a:e3","hostname":"fargo","#,
                r#""expires":1700000000,"client_id":"01:52:54:00:15:7a:e3"},"#,
                r#"{"ip":"192.0.2.78","mac":"52:54:00:15:7a:e4","hostname":null,"expires":0,"client_id":null}]}"#,
            ),
        ),
    ] {
        for arguments in [&[kind, "-"][..], &[kind, "-", "--json"], &["--json", kind, "-"]] {
            let output = evidence(arguments, text.as_bytes());
            assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
            assert_eq!(stdout(&output), format!("{object}\n"), "{arguments:?}");
        }
    }
}

#[test]
fn a_log_that_tells_nothing_has_nulls() {
    let output = evidence(&["console", "-"], b"");
    assert_eq!(
        stdout(&output),
        "{\"file\":\"-\",\"interfaces\":[],\"primary_ipv4\":null,\"primary_mac\":null}\n"
    );
}

#[test]
fn people_get_tables_within_80_columns() {
    let output = evidence(&["console", "--table", "-"], CONSOLE.as_bytes());
    let table = stdout(&output);
    assert!(table.contains("*  ens3       up     52:54:00:15:7a:e3  192.0.2.77\n"), "{table}");
    for (kind, text, line) in [
        ("arp", ARP, "192.0.2.78  (incomplete)       en0\n"),
        ("leases", LEASES, "192.0.2.78  52:54:00:15:7a:e4  never       -      -\n"),
    ] {
        let table = stdout(&evidence(&[kind, "--table", "-"], text.as_bytes()));
        assert!(table.contains(line), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
    // What a file holds is not for the terminal to obey.
    let output =
        evidence(&["leases", "--table", "-"], b"0 52:54:00:15:7a:e3 192.0.2.7 \x1b[2J *\n");
    assert!(stdout(&output).contains(r"\x1b[2J"), "{}", stdout(&output));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("arp.txt");
    fs::write(&good, ARP).expect("a file");
    let good = good.to_str().expect("a path");
    let bad = folder.path().join("gone").to_string_lossy().into_owned();
    let output = evidence(&["arp", &bad, good, folder.path().to_str().expect("a path"), good], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output).lines().count(), 2, "{}", stdout(&output));
    let errors = stderr(&output);
    assert!(errors.contains(&format!("error: {bad}: No such file")), "{errors}");
    assert!(errors.contains("Is a directory"), "{errors}");
}

#[test]
fn any_bytes_will_do() {
    // Not random: the same in every run, every value of a byte in every neighbourhood.
    let mut state = 7u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(1 << 20)
    .collect();
    let torn = [CONSOLE.as_bytes(), &noise, ARP.as_bytes(), LEASES.as_bytes()].concat();
    for kind in ["console", "arp", "leases"] {
        for input in [&noise, &torn, &torn[..CONSOLE.len() / 2].to_vec()] {
            let output = evidence(&[kind, "-"], input);
            assert!(output.status.success(), "{kind}: {}", stderr(&output));
            let object = serde_json::from_slice::<serde_json::Value>(&output.stdout);
            assert!(object.is_ok_and(|object| object["file"] == "-"), "{kind}");
        }
    }
    assert!(!evidence(&["leases"], b"").status.success());
}
