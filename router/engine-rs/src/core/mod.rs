//! The sans-IO core of one worker: transports, producers and slots; datagrams and commands in, datagrams and events out.

pub mod command;
pub mod event;
pub mod sink;

pub use command::Command;
pub use event::Event;
pub use sink::Sink;
