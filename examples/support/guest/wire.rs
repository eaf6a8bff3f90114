//! A TAP as a device of smoltcp's.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::fs::File;
use std::io::{Read as _, Write as _};

/// An Ethernet frame without its check sum: 1,500 bytes and a header of 14.
const FRAME: usize = 1514;

/// The guest's end of the cable.
#[derive(Debug)]
pub(super) struct Wire(pub(super) File);

/// A frame that came in.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

/// The right to send one.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a mut File);

impl Device for Wire {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Slot<'_>)> {
        let mut frame = vec![0; FRAME];
        let len = self.0.read(&mut frame).ok()?;
        frame.truncate(len);
        Some((Frame(frame), Slot(&mut self.0)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Slot<'_>> {
        Some(Slot(&mut self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        // A TAP that is full or gone loses the frame, as a cable does.
        let _ = self.0.write(&frame);
        result
    }
}
