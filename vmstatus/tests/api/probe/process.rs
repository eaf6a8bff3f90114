//! Processes behind PID files, theirs and others'.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use vmstatus::Process;
use vmstatus::probe::ProcessWatch;

use super::world::{Scratch, Sleeper, make_fifo};

fn set_modified(path: &Path, at: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

#[test]
fn a_process_is_watched_through_its_pid_file() {
    let scratch = Scratch::new();
    let path = scratch.file("fargo.pid");
    let mut watch = ProcessWatch::new(&path);
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 0));
    fs::write(&path, "").unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Unknown, 0));
    let before = SystemTime::now();
    let first = Sleeper::start();
    fs::write(&path, format!("{}\n", first.pid())).unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 1));
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 1));
    let began = watch.started().unwrap();
    let second = Duration::from_secs(1);
    assert!(began > before - second && began < SystemTime::now() + second, "{began:?}");

    first.signal(Signal::SIGSTOP);
    while watch.poll() == Process::Alive {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(watch.poll(), Process::Paused);
    first.signal(Signal::SIGCONT);
    while watch.poll() == Process::Paused {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 1));

    drop(first);
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 1));
    assert_eq!(watch.started(), None);
    // Beyond the largest process id that Linux gives out.
    fs::write(&path, "4194305").unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 1));
    let second = Sleeper::start();
    fs::write(&path, format!("{}", second.pid())).unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 2));
    // The file is about to be written anew.
    fs::write(&path, "").unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 2));
}

#[test]
fn an_id_that_another_process_has_by_now_is_not_believed() {
    let scratch = Scratch::new();
    let path = scratch.file("fargo.pid");
    let another = Sleeper::start();
    fs::write(&path, another.pid().to_string()).unwrap();
    // The machine was started an hour ago, and so was not this process.
    set_modified(&path, SystemTime::now() - Duration::from_secs(3600));
    let mut watch = ProcessWatch::new(&path);
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 0));
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 0));
    // Its command line says otherwise.
    let mut by_command = ProcessWatch::new(&path).with_command("sleep\u{0}600");
    assert_eq!((by_command.poll(), by_command.starts()), (Process::Alive, 1));
    // The file is written anew: now it means this process.
    fs::write(&path, another.pid().to_string()).unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 1));
    let mut by_command = ProcessWatch::new(&path).with_command("guest=fargo");
    assert_eq!((by_command.poll(), by_command.starts()), (Process::Absent, 0));
}

#[test]
fn a_process_that_dies_is_missed_even_if_its_id_is_in_use_again() {
    let scratch = Scratch::new();
    let path = scratch.file("fargo.pid");
    let vm = Sleeper::start();
    fs::write(&path, vm.pid().to_string()).unwrap();
    let mut watch = ProcessWatch::new(&path);
    assert_eq!(watch.poll(), Process::Alive);
    drop(vm);
    // The number leads to a living process now, as after a wrap-around of the kernel's counter:
    // here the file is what changes, for a number cannot be had on demand.
    let another = Sleeper::start();
    fs::write(&path, another.pid().to_string()).unwrap();
    set_modified(&path, SystemTime::now() - Duration::from_secs(3600));
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 1));
}

#[test]
fn a_dead_process_that_nobody_has_reaped_is_gone() {
    let scratch = Scratch::new();
    let path = scratch.file("fargo.pid");
    let vm = Sleeper::start();
    fs::write(&path, vm.pid().to_string()).unwrap();
    let mut watch = ProcessWatch::new(&path);
    assert_eq!(watch.poll(), Process::Alive);
    vm.signal(Signal::SIGKILL);
    while watch.poll() == Process::Alive {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(watch.poll(), Process::Absent);
}

#[test]
fn what_is_no_pid_file_is_never_waited_for() {
    let scratch = Scratch::new();
    let path = scratch.file("fargo.pid");
    make_fifo(&path);
    assert_eq!(ProcessWatch::new(&path).poll(), Process::Unknown);
    assert_eq!(ProcessWatch::new(&scratch.0).poll(), Process::Unknown);
    fs::remove_file(&path).unwrap();
    for text in ["nobody", "-1", "0", "99999999999999999999", "1 2", "\u{0}"] {
        fs::write(&path, text).unwrap();
        let found = ProcessWatch::new(&path).poll();
        assert!(matches!(found, Process::Unknown | Process::Absent), "{text}: {found:?}");
    }
    fs::write(&path, "1".repeat(1 << 20)).unwrap();
    assert_eq!(ProcessWatch::new(&path).poll(), Process::Unknown);
}
