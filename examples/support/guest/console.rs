//! The guest's console log, in the forms cloud-init and the kernel print.

use super::machine::Identity;
use macaddr::MacAddr6;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Instant;

/// A console log that is being written.
#[derive(Debug)]
pub(crate) struct Console {
    file: File,
    booted: Instant,
}

impl Console {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, booted: Instant::now() })
    }

    /// What the kernel says first.
    pub(crate) fn boot(&mut self, name: &str) -> io::Result<()> {
        self.booted = Instant::now();
        self.kernel("Linux version 6.1.0-28-cloud-amd64 (debian-kernel@lists.debian.org)")?;
        self.kernel("Command line: console=ttyS0")?;
        self.kernel(&format!("systemd[1]: Hostname set to <{name}>."))
    }

    /// What cloud-init's first stage prints: the devices, and the routes if there are any.
    pub(crate) fn network_table(
        &mut self,
        guest: &Identity,
        with_ipv4: WithIpv4,
    ) -> io::Result<()> {
        let up = self.booted.elapsed().as_secs_f32();
        let start = format!(
            "[   {up:.6}] cloud-init[412]: Cloud-init v. 24.4-1 running 'init' at Sat, 21 Nov 2026 12:00:00 +0000. \
             Up {up:.2} seconds."
        );
        let link_local = format!("{}/64", link_local(guest.mac));
        let (address, mask) =
            (guest.address.addr().to_string(), guest.address.netmask().to_string());
        let mac = guest.mac.to_string().to_lowercase();
        let mut devices = vec![["Device", "Up", "Address", "Mask", "Scope", "Hw-Address"]];
        if with_ipv4 == WithIpv4::Yes {
            devices.push(["ens3", "True", &address, &mask, "global", &mac]);
        }
        devices.push(["ens3", "True", &link_local, ".", "link", &mac]);
        devices.push(["lo", "True", "127.0.0.1", "255.0.0.0", "host", "."]);
        devices.push(["lo", "True", "::1/128", ".", "host", "."]);
        let mut lines = vec![start];
        lines.extend(table("Net device info", &devices));
        if with_ipv4 == WithIpv4::Yes {
            let gateway = guest.gateway.to_string();
            let prefix = guest.address.network().to_string();
            lines.extend(table(
                "Route IPv4 info",
                &[
                    ["Route", "Destination", "Gateway", "Genmask", "Interface", "Flags"],
                    ["0", "0.0.0.0", &gateway, "0.0.0.0", "ens3", "UG"],
                    ["1", &prefix, "0.0.0.0", &mask, "ens3", "U"],
                ],
            ));
        }
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// What cloud-init's last stage and getty print.
    pub(crate) fn ready(&mut self, name: &str) -> io::Result<()> {
        let up = self.booted.elapsed().as_secs_f32();
        self.line(&format!(
            "[   {up:.6}] cloud-init[601]: Cloud-init v. 24.4-1 finished at Sat, 21 Nov 2026 12:00:01 +0000. \
             Datasource DataSourceNoCloud.  Up {up:.2} seconds"
        ))?;
        self.line(&format!("\r\nDebian GNU/Linux 12 {name} ttyS0\r\n\r\n{name} login: "))
    }

    pub(crate) fn kernel(&mut self, text: &str) -> io::Result<()> {
        let up = self.booted.elapsed().as_secs_f32();
        self.line(&format!("[   {up:.6}] {text}"))
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        // One write a line, as a serial port would show it.
        self.file.write_all(format!("{text}\r\n").as_bytes())
    }
}

/// Whether DHCP was through when the table was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithIpv4 {
    Yes,
    NotYet,
}

/// The address a device gives itself (RFC 4291, appendix A).
pub(crate) fn link_local(mac: MacAddr6) -> Ipv6Addr {
    let mac = mac.into_array();
    let mut address = [0; 16];
    address[..2].copy_from_slice(&[0xfe, 0x80]);
    address[8..11].copy_from_slice(&mac[..3]);
    address[11..13].copy_from_slice(&[0xff, 0xfe]);
    address[13..].copy_from_slice(&mac[3..]);
    address[8] ^= 2;
    address.into()
}

fn table(title: &str, rows: &[[&str; 6]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = core::array::from_fn(width);
    let bar = widths.map(|w| "-".repeat(w + 2)).join("+");
    let cells = |row: &[&str; 6]| {
        let cells: [String; 6] =
            core::array::from_fn(|i| format!(" {:^w$} ", row[i], w = widths[i]));
        format!("ci-info: |{}|", cells.join("|"))
    };
    let mut lines =
        vec![format!("ci-info: {title:+^w$}", w = bar.len() + 2), format!("ci-info: +{bar}+")];
    lines.extend(rows.iter().take(1).map(cells));
    lines.push(format!("ci-info: +{bar}+"));
    lines.extend(rows.iter().skip(1).map(cells));
    lines.push(format!("ci-info: +{bar}+"));
    lines
}
