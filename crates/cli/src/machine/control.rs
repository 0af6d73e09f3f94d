//! Orders from whoever supervises, on standard input. Its end means that the supervisor has died.

use std::io::BufRead as _;

use tokio::sync::mpsc;

/// The line that asks for a drain.
pub(crate) const DRAIN: &str = "drain";
/// Orders that wait: there are two kinds, and a second one of a kind says nothing new.
const WAITING: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Finish what runs, then end.
    Drain,
    /// End now.
    Stop,
}

#[derive(Debug)]
pub(crate) struct Control(Option<mpsc::Receiver<Order>>);

impl Control {
    /// Listens only where there is a supervisor: otherwise standard input is the person's.
    pub(crate) fn new(is_supervised: bool) -> Self {
        Self(is_supervised.then(listen))
    }

    pub(crate) async fn next(&mut self) -> Order {
        let Some(orders) = &mut self.0 else {
            return std::future::pending().await;
        };
        match orders.recv().await {
            Some(order) => order,
            None => {
                self.0 = None;
                Order::Stop
            }
        }
    }
}

fn listen() -> mpsc::Receiver<Order> {
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            match line.as_deref() {
                Ok(DRAIN) if sender.blocking_send(Order::Drain).is_err() => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    receiver
}
