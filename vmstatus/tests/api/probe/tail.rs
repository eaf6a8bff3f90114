//! Logs that grow, shrink, rotate, vanish, never end, or are no logs.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use vmstatus::console::Scanner;
use vmstatus::probe::{Progress, Tail};

use super::world::{Scratch, append, make_fifo};
use crate::fixtures::{BOTH_ROWS, IPV6_ONLY};

struct Followed {
    tail: Tail,
    scanner: Scanner,
}

impl Followed {
    fn new(path: &Path) -> Self {
        Self { tail: Tail::new(path), scanner: Scanner::new() }
    }

    fn poll(&mut self) -> Progress {
        self.tail.poll(&mut self.scanner).unwrap()
    }

    fn ipv4(&self) -> Option<std::net::Ipv4Addr> {
        self.scanner.boot().primary()?.ipv4
    }
}

/// Pretends that the file was written to some time ago.
fn age(path: &Path, by: Duration) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - by).unwrap();
}

#[test]
fn growth_truncation_and_rotation() {
    let scratch = Scratch::new();
    let path = scratch.file("console.log");
    let mut log = Followed::new(&path);
    assert_eq!(log.poll(), Progress::Absent);

    let (head, rest) = IPV6_ONLY.split_at(300);
    append(&path, head);
    assert_eq!(log.poll(), Progress::Grown(300));
    assert_eq!(log.poll(), Progress::Unchanged);
    append(&path, rest);
    assert_eq!(log.poll(), Progress::Grown(rest.len() as u64));
    assert!(log.scanner.boot().primary().unwrap().mac.is_some());
    assert_eq!(log.scanner.offset(), IPV6_ONLY.len() as u64);

    // Truncated in place, and shorter than before.
    fs::write(&path, "short\n").unwrap();
    assert_eq!(log.poll(), Progress::Replaced(6));
    // Written anew in place, and longer: only the bytes tell.
    fs::write(&path, BOTH_ROWS).unwrap();
    assert_eq!(log.poll(), Progress::Replaced(BOTH_ROWS.len() as u64));
    assert_eq!(log.scanner.boots(), 2);
    assert_eq!(log.ipv4(), Some([192, 168, 1, 77].into()));

    // Rotated: the last lines of the old file are read first.
    append(&path, "\n[   99.0] Kernel panic - not syncing: late\n");
    fs::rename(&path, scratch.file("console.log.1")).unwrap();
    append(&path, "nothing\n");
    assert_eq!(log.poll(), Progress::Replaced(8));
    assert!(log.scanner.boot().trouble().unwrap().is_fatal());
    assert_eq!(log.poll(), Progress::Unchanged);

    fs::remove_file(&path).unwrap();
    assert_eq!(log.poll(), Progress::Absent);
    append(&path, IPV6_ONLY);
    assert_eq!(log.poll(), Progress::Grown(IPV6_ONLY.len() as u64));
    assert_eq!(log.scanner.boots(), 3);
}

#[test]
fn copied_and_truncated_then_grown_to_the_very_same_size() {
    let scratch = Scratch::new();
    let path = scratch.file("console.log");
    let mut log = Followed::new(&path);
    fs::write(&path, BOTH_ROWS).unwrap();
    age(&path, Duration::from_secs(60));
    log.poll();
    assert_eq!(log.poll(), Progress::Unchanged);
    let other = BOTH_ROWS.replace("192.168.1.77", "192.168.1.78").replace("fargo", "largo");
    assert_eq!(other.len(), BOTH_ROWS.len());
    // As `copytruncate` does: the inode stays.
    fs::copy(&path, scratch.file("console.log.1")).unwrap();
    fs::write(&path, &other).unwrap();
    assert_eq!(log.poll(), Progress::Replaced(other.len() as u64));
    assert_eq!((log.scanner.boots(), log.ipv4()), (2, Some([192, 168, 1, 78].into())));
    // Touched, with the same bytes: nothing new.
    age(&path, Duration::from_secs(30));
    assert_eq!(log.poll(), Progress::Unchanged);
}

#[test]
fn replaced_by_another_file_shorter_longer_or_as_long() {
    for (old, new) in [(BOTH_ROWS, IPV6_ONLY), (IPV6_ONLY, BOTH_ROWS), (BOTH_ROWS, BOTH_ROWS)] {
        let scratch = Scratch::new();
        let path = scratch.file("console.log");
        let mut log = Followed::new(&path);
        fs::write(&path, old).unwrap();
        assert_eq!(log.poll(), Progress::Grown(old.len() as u64));
        fs::write(scratch.file("new"), new).unwrap();
        fs::rename(scratch.file("new"), &path).unwrap();
        assert_eq!(log.poll(), Progress::Replaced(new.len() as u64));
        assert_eq!(log.scanner.boots(), 2);
    }
}

#[test]
fn the_folder_vanishes_and_comes_back() {
    let scratch = Scratch::new();
    let folder = scratch.file("fargo");
    let path = folder.join("console.log");
    let mut log = Followed::new(&path);
    for boots in 1..3 {
        assert_eq!(log.poll(), Progress::Absent);
        fs::create_dir(&folder).unwrap();
        assert_eq!(log.poll(), Progress::Absent);
        fs::write(&path, BOTH_ROWS).unwrap();
        assert_eq!(log.poll(), Progress::Grown(BOTH_ROWS.len() as u64));
        assert_eq!(log.scanner.boots(), boots);
        fs::remove_dir_all(&folder).unwrap();
    }
    // A file where the folder should be.
    fs::write(&folder, "").unwrap();
    assert_eq!(log.poll(), Progress::Absent);
}

#[test]
fn what_is_no_log_is_an_error_and_never_a_wait() {
    let scratch = Scratch::new();
    assert!(Tail::new(&scratch.0).poll(&mut Scanner::new()).is_err());
    let fifo = scratch.file("console.log");
    make_fifo(&fifo);
    let begun = Instant::now();
    let error = Tail::new(&fifo).poll(&mut Scanner::new()).unwrap_err();
    assert_eq!(error.to_string(), "not a regular file");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // Once there is a real log, it is read.
    let mut log = Followed::new(&fifo);
    assert!(log.tail.poll(&mut log.scanner).is_err());
    fs::remove_file(&fifo).unwrap();
    fs::write(&fifo, BOTH_ROWS).unwrap();
    assert_eq!(log.poll(), Progress::Grown(BOTH_ROWS.len() as u64));
}

#[tokio::test]
async fn a_long_log_is_read_in_steps_and_others_run_in_between() {
    let scratch = Scratch::new();
    let path = scratch.file("console.log");
    let noise = "[    1.0] a line that says nothing in particular\n".repeat(1 << 17);
    fs::write(&path, format!("{noise}{BOTH_ROWS}")).unwrap();
    let length = (noise.len() + BOTH_ROWS.len()) as u64;
    let mut log = Followed::new(&path);
    assert_eq!(log.poll(), Progress::Grown(1 << 20));
    assert_eq!(log.tail.behind(), length - (1 << 20));

    // Somebody else on the same thread.
    let others = tokio::spawn(async {
        let mut turns = 0;
        loop {
            tokio::task::yield_now().await;
            turns += 1;
            if turns == 4 {
                return;
            }
        }
    });
    let catching_up = log.tail.catch_up(&mut log.scanner);
    tokio::select! {
        biased;
        () = async { others.await.unwrap() } => {}
        progress = catching_up => panic!("nobody else had a turn: {progress:?}"),
    }
    // It was dropped half way, and goes on where it was.
    assert!(log.tail.behind() > 0 && log.scanner.offset() > 1 << 20);
    let left = length - log.scanner.offset();
    assert_eq!(log.tail.catch_up(&mut log.scanner).await.unwrap(), Progress::Grown(left));
    assert_eq!((log.tail.behind(), log.scanner.offset()), (0, length));
    assert_eq!(log.ipv4(), Some([192, 168, 1, 77].into()));
    assert_eq!(log.tail.catch_up(&mut log.scanner).await.unwrap(), Progress::Unchanged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_grows_while_it_is_read_does_not_hold_the_reader() {
    let scratch = Scratch::new();
    let path = scratch.file("console.log");
    let line = "x".repeat(1 << 20) + "\n";
    fs::write(&path, line.repeat(4)).unwrap();
    let writing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let writer = std::thread::spawn({
        let (writing, path) = (std::sync::Arc::clone(&writing), path.clone());
        move || {
            let mut file = File::options().append(true).open(path).unwrap();
            let mut written = 0;
            // Twice a step at a time, so that it is always ahead; a quarter of a GiB at most.
            while writing.load(std::sync::atomic::Ordering::Relaxed) && written < 128 {
                file.write_all(line.as_bytes()).unwrap();
                file.write_all(line.as_bytes()).unwrap();
                written += 2;
            }
        }
    });
    let mut log = Followed::new(&path);
    let caught_up = log.tail.catch_up(&mut log.scanner).await.unwrap();
    writing.store(false, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    // What was there at the first poll was read, and at most a few steps more.
    let Progress::Grown(read) = caught_up else { panic!("{caught_up:?}") };
    assert!(read >= 4 << 20, "{read}");
}
