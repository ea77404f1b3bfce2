"""The page on which a payer completes an authentication, for people who try `tok_3ds`."""

PAYER_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox bank</title>
<style>
body { font: 16px system-ui; max-width: 32rem; margin: 4rem auto }
button { font: inherit; padding: .6rem 1.2rem; margin-right: 1rem }
</style>
</head><body>
<h1>Sandbox bank</h1>
<p>A shop asks you to confirm this payment.</p>
<button data-result="succeed">Confirm</button><button data-result="fail">Refuse</button>
<p id="said" role="status"></p>
<script>
for (const button of document.querySelectorAll("button")) button.onclick = async () => {
  const answer = await fetch(location.href, {
    method: "POST",
    headers: {"content-type": "application/json"},
    body: JSON.stringify({result: button.dataset.result}),
  });
  const told = await answer.json();
  document.getElementById("said").textContent =
    answer.ok ? "The payment is " + told.status + "." : told.error.message;
};
</script></body></html>
"""
