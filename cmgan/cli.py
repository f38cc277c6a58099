"""The `cmgan` command: enhance and evaluate recordings, train one arm and watch it, export it, diagnose a log."""

import typer

from cmgan.commands import diagnose, enhance, evaluate, export, train, watch

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="CMGAN for one's own recordings and training runs. `make study` runs the whole study.",
)
app.command(epilog=enhance.EPILOG)(enhance.enhance)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=train.EPILOG)(train.train)
app.command(epilog=export.EPILOG)(export.export)
app.command(epilog=diagnose.EPILOG)(diagnose.diagnose)
app.command(epilog=watch.EPILOG)(watch.watch)

if __name__ == "__main__":
    app()
