"""Commands that operate a running router, here or elsewhere, through its admin API. Each module is light to import:
what a command needs beyond the command line is imported when it runs."""
