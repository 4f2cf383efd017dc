// Starts the documentation page. "Try it out" talks to the server that served the page, whatever its public address.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// Relative, as the service may stand below a path of its public address.
fetch("v1/openapi.json")
  .then((response) => response.json())
  .then((spec) => {
    spec.servers = [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
    SwaggerUIBundle({
      spec,
      dom_id: "#docs",
      deepLinking: true,
      docExpansion: "list",
      persistAuthorization: false,
      validatorUrl: null,
    });
  });
