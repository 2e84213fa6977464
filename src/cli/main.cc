#include "cli/app.h"

int main(int argc, char** argv) { return tinderbox::cli::run_app(argc, argv); }
