//! A live board of virtual machines: what each is doing, for how long, and by what evidence.
//!
//! ```sh
//! cargo run --example status
//! cargo run --example status -- ~/vms
//! cargo run --example status -- ~/vms --once --json
//! cargo run --example status -- --help
//! ```
//!
//! The first makes a folder of its own with a few machines that boot, panic, fall silent and come back for show, so that
//! there is something to see at once. The others look at a folder of machines: `NAME/NAME.pid`, `NAME/console.log`, and
//! `registry.json` beside, whose records may hold `ip_address`, `mac_address`, and `ssh_port`, a port of this host that
//! leads to the guest's port 22.
//!
//! On a terminal it draws a table until Ctrl-C, with colours unless `NO_COLOR` is set. To anything else it prints a line
//! for each change, with `--json` an object; with `--once` it looks once, prints every machine, and ends.

use clap::Parser;
use examples::board::{self, Row};
use examples::demo::{self, Demo};
use examples::fleet::Fleet;
use examples::identity::now;
use examples::screen::{Page, Paint, Screen};
use examples::signals::Stop;
use ipnet::Ipv4Net;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use vmstatus::Machine;
use vmstatus::probe::{Event, Look as _, Supervisor, Watch};

/// A live board of virtual machines: what each is doing, for how long, and by what evidence.
#[derive(Parser)]
struct Arguments {
    /// The folder of the machines; without one, a show of machines that are not real
    #[arg(conflicts_with = "demo")]
    folder: Option<PathBuf>,
    /// Show machines that are not real
    #[arg(long)]
    demo: bool,
    /// Look once, print every machine, and end
    #[arg(long)]
    once: bool,
    /// Print one JSON object per line: every machine with `--once`, or else every change
    #[arg(long)]
    json: bool,
    /// Seconds between looks at a machine
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = duration)]
    period: Duration,
    /// Seconds that a machine may take to answer
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = duration)]
    deadline: Duration,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = duration)]
    lasts: Option<Duration>,
    /// The DHCP server's lease file
    #[arg(long, value_name = "FILE")]
    leases: Option<PathBuf>,
    /// A file with a neighbour table, instead of /proc/net/arp
    #[arg(long, value_name = "FILE")]
    neighbours: Option<PathBuf>,
    /// A subnet that guests are served from; addresses outside of all given are refused
    #[arg(long = "subnet", value_name = "PREFIX")]
    subnets: Vec<Ipv4Net>,
}

/// How often the table is drawn.
const FRAME: Duration = Duration::from_millis(250);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<io::Error>() {
            // Whoever reads has seen enough.
            Some(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            _ => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    // Listened for from here on, so that nothing is left behind from here on.
    let mut stop = Stop::listen()?;
    let (fleet, _demo) = open(&arguments).await?;
    let screen = Screen::of_stdout();
    if arguments.once {
        return tokio::select! {
            done = look_once(&arguments, &fleet, screen) => done,
            () = stop.wait() => Ok(()),
        };
    }
    let mut live = Live::new(&arguments, &fleet, stop);
    if screen.is_live && !arguments.json {
        let last = live.draw(screen).await?;
        // The page is gone; what it showed last stays.
        return Ok(print(&last.join("\n"))?);
    }
    live.tell(arguments.json, screen).await
}

/// The machines that were asked for, or the show, which lasts as long as it is kept.
async fn open(arguments: &Arguments) -> Result<(Fleet, Option<Demo>), Box<dyn Error>> {
    let fleet = |folder: &PathBuf| {
        Fleet::new(folder.clone(), arguments.deadline)
            .map_err(|error| format!("{}: {error}", folder.display()))
    };
    Ok(if let Some(folder) = &arguments.folder {
        warn_of_missing("--leases", arguments.leases.as_deref());
        warn_of_missing("--neighbours", arguments.neighbours.as_deref());
        let fleet = fleet(folder)?
            .with_leases(arguments.leases.clone())
            .with_neighbours(arguments.neighbours.clone())
            .with_subnets(arguments.subnets.clone());
        (fleet, None)
    } else {
        let demo = Demo::start().await?;
        let fleet = fleet(&demo.folder().to_owned())?
            .with_neighbours(Some(demo.neighbours()))
            .with_subnets(vec![demo::SUBNET.parse()?]);
        (fleet, Some(demo))
    })
}

/// A file that is not there may come later, so it is no error; but its name may be mistyped.
fn warn_of_missing(option: &str, file: Option<&Path>) {
    if let Some(file) = file
        && let Err(error) = fs::metadata(file)
    {
        eprintln!("warning: {option} {}: {error}", file.display());
    }
}

/// Looks at every machine at the same time, so that it takes as long as the slowest of them.
async fn look_once(
    arguments: &Arguments,
    fleet: &Fleet,
    screen: Screen,
) -> Result<(), Box<dyn Error>> {
    let mut looks = JoinSet::new();
    for name in fleet.names()? {
        let mut probe = fleet.probe(&name);
        looks.spawn(async move {
            let mut machine = Machine::new(now());
            let evidence = probe.look().await;
            let taken = machine.observe(&evidence, now());
            taken.map(|_| Row { name, machine })
        });
    }
    let mut rows = looks.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let text = if arguments.json {
        rows.iter().map(|row| row.json().to_string()).collect()
    } else {
        board::lines(&rows, screen, screen.size().0)
    };
    // No machine is no line for scripts.
    Ok(if text.is_empty() { Ok(()) } else { print(&text.join("\n")) }?)
}

/// Machines that are looked at again and again.
struct Live<'a> {
    fleet: &'a Fleet,
    watch: Watch<String>,
    known: BTreeSet<String>,
    rng: StdRng,
    stop: Stop,
    end: Option<Instant>,
    period: Duration,
}

impl<'a> Live<'a> {
    fn new(arguments: &Arguments, fleet: &'a Fleet, stop: Stop) -> Self {
        let mut rng: StdRng = rand::make_rng();
        let none: [(String, vmstatus::probe::VmProbe); 0] = [];
        // Room for files that are slow, besides the questions.
        let budget = arguments.deadline.saturating_mul(2);
        let watch = Supervisor::new(arguments.period, budget).watch(none, &mut rng);
        let end = arguments.lasts.and_then(|lasts| Instant::now().checked_add(lasts));
        Self { fleet, watch, known: BTreeSet::new(), rng, stop, end, period: arguments.period }
    }

    /// Draws the table until the time is over; gives what it showed last.
    async fn draw(&mut self, screen: Screen) -> Result<Vec<String>, Box<dyn Error>> {
        let mut page = screen.open()?;
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut scans = interval(self.period);
        loop {
            tokio::select! {
                _ = frames.tick() => self.draw_frame(&mut page, screen)?,
                _ = scans.tick() => self.find_new()?,
                // The table shows what has come of it.
                _ = self.watch.next() => {}
                () = until(&mut self.stop, self.end) => {
                    drop(page);
                    return Ok(self.lines(screen));
                }
            }
        }
    }

    fn draw_frame(&self, page: &mut Page, screen: Screen) -> io::Result<()> {
        let mut lines = self.lines(screen);
        let (width, height) = screen.size();
        let rest = lines.len().saturating_sub(height - 1);
        if rest > 0 {
            lines.truncate(height - 2);
            let more = format!("... {rest} lines more; make the window higher");
            lines.push(more.chars().take(width).collect());
        }
        lines.push(screen.paint(Paint::Dim, "Ctrl-C ends").to_string());
        page.show(&lines)
    }

    fn lines(&self, screen: Screen) -> Vec<String> {
        let rows: Vec<Row> = self
            .watch
            .machines()
            .map(|(name, machine)| Row { name: name.clone(), machine })
            .collect();
        board::lines(&rows, screen, screen.size().0)
    }

    /// Prints a line for each change until the time is over.
    async fn tell(&mut self, json: bool, screen: Screen) -> Result<(), Box<dyn Error>> {
        let mut scans = interval(self.period);
        loop {
            tokio::select! {
                _ = scans.tick() => self.find_new()?,
                event = self.watch.next() => {
                    let Some(Event { vm, news }) = event else { return Ok(()) };
                    // One machine that cannot be made sense of does not end the others.
                    let Ok(change) = news.inspect_err(|error| eprintln!("{vm}: {error}")) else {
                        continue;
                    };
                    print(&if json {
                        board::change_json(&vm, &change).to_string()
                    } else {
                        board::change_line(&vm, &change, screen)
                    })?;
                }
                () = until(&mut self.stop, self.end) => return Ok(()),
            }
        }
    }

    /// Begins to look at machines that are new in the folder. Those that go are shown as missing.
    fn find_new(&mut self) -> io::Result<()> {
        for name in self.fleet.names()? {
            if !self.known.contains(&name) {
                self.watch.add(name.clone(), self.fleet.probe(&name), &mut self.rng);
                self.known.insert(name);
            }
        }
        Ok(())
    }
}

/// Until somebody says stop, or the time is over.
async fn until(stop: &mut Stop, end: Option<Instant>) {
    match end {
        Some(end) => tokio::select! {
            () = sleep_until(end) => {}
            () = stop.wait() => {}
        },
        None => stop.wait().await,
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.01..=86_400.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "give seconds between 0.01 and 86400, such as 0.5".to_owned())
}
