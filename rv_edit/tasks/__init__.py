"""What a run does, one file a task; ``conf/task`` names them."""
