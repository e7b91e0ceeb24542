"""What speaks to model servers, and the recorded requests that are sent to them."""
