//! What console logs, neighbour tables and lease files tell about virtual machines.
//!
//! ```sh
//! cargo run --example evidence -- console vms/*/console.log
//! arp -an | cargo run --example evidence -- arp -
//! cargo run --example evidence -- leases /var/lib/misc/dnsmasq.leases --json
//! ```
//!
//! It prints a table to a terminal, and one JSON object per file and line to anything else or with `--json`: MACs in
//! lower case with all their zeros, `null` for what the file does not tell, `expires` in seconds since the Unix epoch
//! (zero: never). A file that cannot be read is named on standard error; the others are read all the same, and the exit
//! status is 1. Formats are recognised by their content; console logs are read in pieces, so they may be of any size.

use clap::{Parser, Subcommand};
use examples::evidence::{Arp, Console, Leases};
use serde::Serialize;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vmstatus::console::Scanner;
use vmstatus::{lease, neighbour};

/// What console logs, neighbour tables and lease files tell about virtual machines.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    kind: Kind,
    /// Print one JSON object per file and line, as is done when the output is not a terminal
    #[arg(long, global = true)]
    json: bool,
    /// Print tables, whatever the output is
    #[arg(long, global = true, conflicts_with = "json")]
    table: bool,
}

#[derive(Subcommand)]
enum Kind {
    #[command(about = "Console logs: network tables of cloud-init, all versions, and of CirrOS")]
    Console(Files),
    /// Neighbour tables: `arp`, `ip neigh`, /proc/net/arp
    Arp(Files),
    /// Lease files: dnsmasq, libvirt (also what virsh prints), ISC dhcpd, macOS
    Leases(Files),
}

#[derive(clap::Args)]
struct Files {
    /// The files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json || !(arguments.table || io::stdout().is_terminal());
    match print_all(&arguments.kind, json) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what each file tells; whether all of them could be read.
fn print_all(kind: &Kind, json: bool) -> io::Result<bool> {
    let (Kind::Console(Files { files })
    | Kind::Arp(Files { files })
    | Kind::Leases(Files { files })) = kind;
    let mut all_read = true;
    for (number, file) in files.iter().enumerate() {
        let mut out = io::stdout().lock();
        match examine(kind, file, json) {
            Ok(text) if json => writeln!(out, "{text}")?,
            Ok(text) if files.len() == 1 => write!(out, "{text}")?,
            Ok(text) => {
                let gap = if number == 0 { "" } else { "\n" };
                write!(out, "{gap}{}\n{text}", file.display())?;
            }
            Err(error) => {
                all_read = false;
                eprintln!("error: {}: {error}", file.display());
            }
        }
        out.flush()?;
    }
    Ok(all_read)
}

fn examine(kind: &Kind, path: &Path, json: bool) -> Result<String, Box<dyn Error>> {
    let mut input = open(path)?;
    let file = &path.to_string_lossy();
    match kind {
        Kind::Console(_) => {
            let scanner = scan(&mut input)?;
            let console = Console::new(file, &scanner.boot());
            render(&console, json, Console::table)
        }
        Kind::Arp(_) => {
            let arp = Arp::new(file, &neighbour::parse(&read(&mut input)?));
            render(&arp, json, Arp::table)
        }
        Kind::Leases(_) => {
            let leases = Leases::new(file, &lease::parse(&read(&mut input)?));
            render(&leases, json, Leases::table)
        }
    }
}

fn render<T: Serialize>(
    told: &T,
    json: bool,
    table: impl Fn(&T) -> String,
) -> Result<String, Box<dyn Error>> {
    if json { Ok(serde_json::to_string(told)?) } else { Ok(table(told)) }
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let is_stdin = path == Path::new("-");
    Ok(if is_stdin { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) })
}

fn read(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn scan(input: &mut impl Read) -> io::Result<Scanner> {
    let mut scanner = Scanner::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(scanner),
            Ok(length) => scanner.push(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
